//! The keys of `web`: where the web role listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use crate::document::Value;

/// What the web role serves, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// What messages link to, calls of providers, and health. Port 0: any free one.
    pub listen: SocketAddr,
    pub metrics: MetricsListen,
    /// Whether the last entry of `X-Forwarded-For` says who asks: only behind a proxy of our own.
    pub trust_forwarded_for: bool,
    /// Requests of pages a second from one network, a /24 or /64.
    pub rate: NonZeroU32,
}

/// Where metrics are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsListen {
    /// On an address of their own, since the pages face the internet.
    Own(SocketAddr),
    /// Beside the pages.
    Same,
    None,
}

pub(super) fn decode(value: Option<Value<'_>>) -> Option<Web> {
    let mut web = Web {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        metrics: MetricsListen::Own(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464))),
        trust_forwarded_for: false,
        rate: NonZeroU32::MIN.saturating_add(49),
    };
    let Some(value) = value else { return Some(web) };
    let mut table = value.table()?;
    let listen = table.get_or("listen", web.listen, |value| value.parse(parse_listen));
    let metrics = table.get_or("metrics", web.metrics, |value| match value.text()?.as_str() {
        "none" => Some(MetricsListen::None),
        "same" => Some(MetricsListen::Same),
        _ => value.parse(|text| {
            parse_listen(text).map(MetricsListen::Own).map_err(|reason| format!("{reason}; or same, or none"))
        }),
    });
    let trust = table.get_or("trust_forwarded_for", web.trust_forwarded_for, |value| value.boolean());
    let rate = table.get_or("rate", i64::from(web.rate.get()), |value| value.integer_in(1..=100_000));
    table.finish();
    web.listen = listen?;
    web.metrics = metrics?;
    web.trust_forwarded_for = trust?;
    web.rate = NonZeroU32::new(u32::try_from(rate?).ok()?)?;
    if web.metrics == MetricsListen::Own(web.listen) && web.listen.port() != 0 {
        value.problem("`metrics` has the address of `listen`; write `metrics: same` if that is meant");
        return None;
    }
    Some(web)
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not an address to listen on; write an IP address and a port, such as 127.0.0.1:8080")
    })
}
