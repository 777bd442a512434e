//! The public pages without a network: a request is answered as one that came in by a connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::USER_AGENT;
use tower::ServiceExt;

use super::{Request, Web};

impl Web {
    /// Answers a request for `path`; gives the status. `None` where it is no request.
    pub async fn asked(self: &Arc<Self>, method: &str, path: &str, from: Ipv4Addr, agent: &str) -> Option<u16> {
        let request = Request::new(Body::empty());
        let (mut parts, body) = request.into_parts();
        parts.method = method.parse().ok()?;
        parts.uri = path.parse().ok()?;
        parts.headers.insert(USER_AGENT, agent.parse().ok()?);
        parts.extensions.insert(ConnectInfo(SocketAddr::from((from, 443))));
        let answered = self.public().oneshot(Request::from_parts(parts, body)).await;
        answered.ok().map(|response| response.status().as_u16())
    }
}
