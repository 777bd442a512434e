//! Who loads pictures and follows links, as far as it can be known: people, or machines that look at mail for them.

use axum::http::{HeaderMap, header};

/// So soon after its server took the mail, nobody has read it: scanners have. In milliseconds.
const TOO_SOON: i64 = 3_000;

/// What Apple's Mail Privacy Protection says of itself, whose proxies load all pictures when a mail comes, and
/// nothing else does: a browser names itself and its engine.
const APPLE: &str = "Mozilla/5.0";

/// Parts of the names of programs that are no mail programs, in lower case. The proxies of Gmail and Yahoo are not
/// here: they load a picture when somebody opens the mail.
const PROGRAMS: &[&str] =
    &["bot", "spider", "crawler", "scanner", "curl/", "wget/", "python", "go-http-client", "java/", "headless"];

/// Whether a request comes from no person, so long after the mail was taken, where that is known, in milliseconds.
pub(super) fn is_machine(headers: &HeaderMap, after: Option<i64>) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let lower = agent.to_ascii_lowercase();
    let purpose = ["purpose", "sec-purpose", "x-purpose", "x-moz"].iter().any(|name| {
        headers.get(*name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("prefetch"))
    });
    purpose
        || after.is_some_and(|after| after < TOO_SOON)
        || agent.is_empty()
        || agent == APPLE
        || PROGRAMS.iter().any(|program| lower.contains(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_known_by_their_names_and_their_haste() {
        let check = |agent: &'static str, after: Option<i64>, expected: bool| {
            let headers = HeaderMap::from_iter([(header::USER_AGENT, agent.parse().unwrap())]);
            assert_eq!(is_machine(&headers, after), expected, "{agent} after {after:?}");
        };
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
        check(phone, Some(3_000), false);
        check(phone, None, false);
        check(phone, Some(2_999), true);
        check("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", None, false);
        check("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", None, false);
        check("Mozilla/5.0", Some(60_000), true);
        check("Mozilla/5.0 (compatible; Barracuda Sentinel (EE) Scanner)", None, true);
        check("", None, true);
        let prefetch = HeaderMap::from_iter([
            (header::USER_AGENT, phone.parse().unwrap()),
            (header::HeaderName::from_static("sec-purpose"), "prefetch;prerender".parse().unwrap()),
        ]);
        assert!(is_machine(&prefetch, None));
    }
}
