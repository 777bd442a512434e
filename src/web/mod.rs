//! The web role: what messages link to, calls of providers, health, and metrics.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use metrics::counter;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::brand::Brand;
use crate::domain::token::TokenKey;
use crate::queue::Queue;
use crate::settings::{MetricsListen, Settings};
use crate::store::{Store, StoreError, configuration};

mod asked;
pub mod hooks;
mod limit;
pub mod operations;
mod public;
mod server;

use hooks::Hooks;
use limit::Limit;
use operations::{health, scrape};
use public::pages::{self, Notice};
pub use server::Limits;

type Request = axum::http::Request<Body>;
type Shared = State<Arc<Web>>;

/// Who asks, as far as we can know.
#[derive(Debug, Clone, Copy)]
struct Client(IpAddr);

/// The tasks that serve.
pub type Running = Vec<tokio::task::JoinHandle<()>>;

/// What a request's body may hold.
const MOST_BODY: usize = 64 * 1024;

/// A request is answered within it, its body read.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// After a listen address was taken by somebody else, how long to wait before the next try.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What the web role works with.
pub struct Web {
    settings: Arc<Settings>,
    store: Store,
    clock: Clock,
    brand: Brand,
    tokens: TokenKey,
    /// Absent where no role of the process needs it.
    queue: Option<Arc<dyn Queue>>,
    hooks: Option<Hooks>,
    limit: Limit,
    /// Calls to `/hooks/` that are nobody's.
    forged: Limit,
    ready: health::Known,
    scrapes: tokio::sync::Mutex<scrape::Scrapes>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}, which {key} names: {reason}; choose another address there, or name the roles \
     without web: --role scheduler,dispatcher,sender"
)]
pub struct BindError {
    key: &'static str,
    address: SocketAddr,
    reason: std::io::Error,
}

impl Web {
    /// Reads what it needs of the store, and starts to count.
    pub async fn new(
        settings: Arc<Settings>,
        store: Store,
        clock: Clock,
        queue: Option<Arc<dyn Queue>>,
        hooks: Option<Hooks>,
    ) -> Result<Arc<Self>, StoreError> {
        scrape::recorder();
        let mut tx = store.read().await?;
        let tokens = configuration::token_key(&mut tx).await?;
        tx.commit().await?;
        let brand = settings.brand.clone();
        let (limit, forged) = (Limit::new(settings.web.rate), Limit::new(settings.web.rate));
        let (ready, scrapes) = (health::Known::default(), tokio::sync::Mutex::default());
        Ok(Arc::new(Self { settings, store, clock, brand, tokens, queue, hooks, limit, forged, ready, scrapes }))
    }

    /// Serves until `shutdown`. Where an address is taken, a web role that was asked for by name fails
    /// before it serves anything; else it says so and tries again and again, as the other roles work on.
    pub async fn run(self: Arc<Self>, by_name: bool, shutdown: CancellationToken) -> Result<Running, BindError> {
        let mut bound = Vec::new();
        for (key, address, router) in self.sites() {
            match bind(key, address).await {
                Ok(listener) => bound.push((key, address, router, Some(listener))),
                Err(error) if by_name => return Err(error),
                Err(error) => {
                    tracing::error!(%error, "the pages that messages link to are not served here; trying again");
                    bound.push((key, address, router, None));
                }
            }
        }
        let mut tasks = vec![tokio::spawn(scrape::keep_up(shutdown.clone()))];
        for (key, address, router, listener) in bound {
            let (limits, shutdown) = (self.limits(), shutdown.clone());
            tasks.push(tokio::spawn(async move {
                let listener = match listener {
                    Some(listener) => listener,
                    None => tokio::select! {
                        listener = bind_in_time(key, address) => listener,
                        () = shutdown.cancelled() => return,
                    },
                };
                server::serve(listener, router, limits, shutdown).await;
            }));
        }
        Ok(tasks)
    }

    /// What connections may take. Behind a proxy all are the proxy's.
    pub fn limits(&self) -> Limits {
        let limits = Limits::default();
        let of_network = if self.settings.web.trust_forwarded_for { limits.connections } else { limits.of_network };
        Limits { of_network, ..limits }
    }

    /// Listens on an address as [`Self::run`] does.
    pub fn listener(&self, address: SocketAddr) -> std::io::Result<TcpListener> {
        server::listen(address)
    }

    /// Serves what faces the internet, until `shutdown`.
    pub async fn serve(self: &Arc<Self>, listener: TcpListener, limits: Limits, shutdown: CancellationToken) {
        server::serve(listener, self.public(), limits, shutdown).await;
    }

    /// What is served where: the key of the settings, the address, the routes.
    fn sites(self: &Arc<Self>) -> Vec<(&'static str, SocketAddr, Router)> {
        let web = &self.settings.web;
        let public = ("web.listen", web.listen, self.public());
        match web.metrics {
            MetricsListen::Own(address) => vec![public, ("web.metrics", address, self.operations())],
            MetricsListen::Same | MetricsListen::None => vec![public],
        }
    }

    /// The routes that face the internet.
    pub fn public(self: &Arc<Self>) -> Router {
        let mut router = self
            .health()
            .route("/u/{token}", get(public::ask_to_stop).post(public::stop))
            .route("/p/{token}", get(public::show_preferences).post(public::save_preferences))
            .route("/o/{token}", get(public::opened))
            .route("/c/{token}", get(public::clicked))
            .route("/hooks/{provider}", any(hooks::receive));
        if self.settings.web.metrics == MetricsListen::Same {
            router = router.route("/metrics", get(scrape::scrape));
        }
        router
            .fallback(not_found)
            .method_not_allowed_fallback(wrong_method)
            .layer(middleware::from_fn_with_state(Arc::clone(self), guard))
            .with_state(Arc::clone(self))
    }

    /// The routes for those who watch over it.
    pub fn operations(self: &Arc<Self>) -> Router {
        self.health().route("/metrics", get(scrape::scrape)).with_state(Arc::clone(self))
    }

    fn health(&self) -> Router<Arc<Self>> {
        Router::new().route("/health/live", get(health::live)).route("/health/ready", get(health::ready))
    }

    fn notice(&self, notice: Notice) -> Response {
        pages::notice(&self.brand, notice)
    }
}

async fn not_found(State(web): Shared) -> Response {
    web.notice(Notice::NotFound)
}

async fn wrong_method(State(web): Shared) -> Response {
    web.notice(Notice::WrongMethod)
}

/// The store failed; the page that says so is [`guard`]'s to give.
struct Failed;

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a page cannot be served");
        Self
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}

/// What every public request goes through: the rate of its network, a time limit, the headers that keep
/// a page to itself, and a count.
async fn guard(State(web): Shared, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let peer = peer.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let client = limit::client(peer, request.headers(), web.settings.web.trust_forwarded_for);
    request.extensions_mut().insert(Client(client));
    let route = match request.uri().path().split('/').nth(1) {
        Some(known @ ("u" | "p" | "o" | "c" | "hooks" | "health" | "metrics")) => known.to_owned(),
        _ => "other".to_owned(),
    };
    // Receipts come as fast as messages go out, all from one provider; who calls is for a signature to say.
    let mut response = if route == "hooks" || web.limit.allows(client) {
        match tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await {
            Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE && !is_written(&response) => {
                web.notice(Notice::Unavailable)
            }
            Ok(response) => response,
            Err(_) => web.notice(Notice::Unavailable),
        }
    } else {
        web.notice(Notice::TooMany)
    };
    let too_many = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    if too_many {
        // Who asks too often asks for another connection first.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&pages::POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    counter!("rekindle_http_requests_total", "route" => route, "status" => response.status().as_str().to_owned())
        .increment(1);
    response
}

fn is_written(response: &Response) -> bool {
    response.headers().contains_key(header::CONTENT_TYPE)
}

/// A request's body; `None` where it is larger than [`MOST_BODY`] or breaks off.
async fn read(body: Body) -> Option<Vec<u8>> {
    axum::body::to_bytes(body, MOST_BODY).await.ok().map(Vec::from)
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    let bound = async {
        let listener = server::listen(address)?;
        tracing::info!(address = %listener.local_addr()?, key, "listening");
        Ok(listener)
    };
    bound.await.map_err(|reason| BindError { key, address, reason })
}

async fn bind_in_time(key: &'static str, address: SocketAddr) -> TcpListener {
    loop {
        tokio::time::sleep(TRY_AGAIN).await;
        if let Ok(listener) = bind(key, address).await {
            return listener;
        }
    }
}
