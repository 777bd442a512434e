//! An SMS provider on the loopback address that answers with the HTTP status it is told to.

use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

use super::shop::{PLAIN, Shop, Size};

/// What its statuses mean.
pub const DESCRIPTION: &str = "
name: gateway
base_url: http://127.0.0.1:1
text: { url: \"{base_url}/send\", body: form, fields: { to: \"{to}\", text: \"{text}\" } }
reply:
  code: [http]
  unlisted: { then: retry, means: it is busy }
  codes:
    200: { then: sent, means: taken }
    411: { then: reject, reason: bad_recipient, means: there is no such number }
    412: { then: reject, reason: refused, means: it does not like us }
    413: { then: reject, reason: message_refused, means: it does not like the text }
    414: { then: our_fault, means: it does not understand us }
";

/// A shop that sends SMS by it, and the provider, whose status `answer` gives for a request's body.
pub async fn shop(size: &Size, answer: impl Fn(&str) -> u16 + Send + Sync + 'static) -> (Shop, MockServer) {
    // Fails where another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = MockServer::start().await;
    let respond = move |request: &Request| ResponseTemplate::new(answer(&String::from_utf8_lossy(&request.body)));
    Mock::given(matchers::path("/send")).respond_with(respond).mount(&server).await;
    let sms = format!("sms: {{ sender: gateway, base_url: \"{}\" }}\n", server.uri());
    let shop = Shop::new(size, PLAIN).with_settings(&sms);
    shop.write("providers/gateway.yaml", DESCRIPTION);
    (shop, server)
}
