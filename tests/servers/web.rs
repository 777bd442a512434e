//! The contracts of the web role on PostgreSQL, and what it says of a broker that does not answer.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use rekindle::clock::Clock;
use rekindle::queue::Queue;
use rekindle::queue::rabbitmq::RabbitMq;
use rekindle::web::Web;
use tower::ServiceExt;

use crate::proxy::Proxy;
use crate::support::rabbitmq::Prefix;
use crate::support::shop::{PLAIN, Shop, Size, at};
use crate::support::{Database, tidied, until};
use crate::web_contract::web_contract;

web_contract!(on_postgres);

async fn on_postgres<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    let database = Database::create().await;
    tidied(test(Size { store: database.url.clone(), ..Size::default() }), database.remove()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_ready_while_the_broker_answers() {
    let prefix = Prefix::new();
    let url = prefix.url();
    let (user, rest) = url.split_once('@').unwrap();
    let (server, path) = rest.split_once('/').unwrap();
    let proxy = Proxy::before(server).await;
    let queue = Arc::new(RabbitMq::connect(&format!("{user}@{}/{path}", proxy.address)).await.unwrap());
    let shop = Shop::new(&Size::default(), PLAIN);
    let test = async {
        let store = shop.store().await.clone();
        let clock = Clock::simulated(at("2024-05-01T10:00:00Z"));
        let web = Web::new(shop.settings(), store, clock, Some(queue.clone()), None).await.unwrap();
        let look = async |path: &str| {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            let response = web.operations().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        assert_eq!(look("/health/ready").await, (200, r#"{"ready":true,"store":"ok","queue":"ok"}"#.to_owned()));
        assert!(look("/metrics").await.1.contains("\nrekindle_queue_depth{channel=\"sms\"} 0\n"));
        proxy.refuse();
        until(503, async || look("/health/ready").await.0).await;
        let (_, said) = look("/health/ready").await;
        assert!(said.starts_with(r#"{"ready":false,"store":"ok","queue":"does not "#), "{said}");
        proxy.mend();
        until(200, async || look("/health/ready").await.0).await;
    };
    tidied(test, async {
        proxy.mend();
        proxy.cut();
        queue.close().await;
        prefix.remove().await;
        shop.close().await;
    })
    .await;
}
