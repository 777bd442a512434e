//! How much one network may ask: a rate for each /24 (IPv4) or /64 (IPv6), in bounded memory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use axum::http::HeaderMap;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Networks that are remembered. When more ask at once, the further ones share one allowance.
const MOST_NETWORKS: usize = 50_000;

/// So many seconds' worth may come at once: mail programs load pictures in bursts.
const BURST: u32 = 10;

/// Lets each network ask so often.
pub(super) struct Limit {
    networks: DefaultKeyedRateLimiter<IpAddr>,
}

impl Limit {
    /// `rate` requests a second and network.
    pub fn new(rate: NonZeroU32) -> Self {
        let burst = rate.saturating_mul(NonZeroU32::MIN.saturating_add(BURST - 1));
        Self { networks: RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)) }
    }

    /// Whether one more request of this address is within its network's rate.
    pub fn allows(&self, address: IpAddr) -> bool {
        if self.networks.len() >= MOST_NETWORKS {
            // Those that did not ask lately are as good as new.
            self.networks.retain_recent();
        }
        let full = self.networks.len() >= MOST_NETWORKS;
        let network = if full { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { network(address) };
        self.networks.check_key(&network).is_ok()
    }
}

/// The network that an address belongs to, by its first address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Who asks: the other end of the connection, or whom our own proxy saw, which it writes at the end
/// of `X-Forwarded-For`. What stands before that anybody can make up.
pub(super) fn client(peer: SocketAddr, headers: &HeaderMap, trust_forwarded_for: bool) -> IpAddr {
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
    let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    last.filter(|_| trust_forwarded_for).unwrap_or_else(|| peer.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_shares_its_rate_and_others_have_their_own() {
        let limit = Limit::new(NonZeroU32::MIN);
        let allowed = (0..1_000).filter(|n| limit.allows(IpAddr::V4(Ipv4Addr::new(192, 0, 2, *n as u8)))).count();
        assert!((10..50).contains(&allowed), "{allowed}");
        assert!(limit.allows(ip("192.0.3.1")));
        assert_eq!(network(ip("::ffff:192.0.2.7")), ip("192.0.2.0"));
        assert_eq!(network(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
    }

    #[test]
    fn what_it_remembers_is_bounded() {
        let limit = Limit::new(NonZeroU32::MIN);
        let mut refused = 0;
        for n in 0..60_000_u32 {
            let [a, b, c, _] = (n << 8).to_be_bytes();
            refused += usize::from(!limit.allows(IpAddr::V4(Ipv4Addr::new(a, b, c, 1))));
        }
        assert!(limit.networks.len() <= MOST_NETWORKS + 1, "{}", limit.networks.len());
        assert!(refused > 0, "those beyond share one allowance");
    }

    #[test]
    fn only_what_our_own_proxy_wrote_is_believed() {
        let peer = "127.0.0.1:9".parse().unwrap();
        let client = |value: &str, trust| {
            let headers = HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), value.parse().unwrap())]);
            client(peer, &headers, trust)
        };
        assert_eq!(client("10.0.0.1, 192.0.2.7", true), ip("192.0.2.7"));
        assert_eq!(client("10.0.0.1, 192.0.2.7", false), ip("127.0.0.1"));
        assert_eq!(client("nonsense", true), ip("127.0.0.1"));
    }
}
