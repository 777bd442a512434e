//! Calls of providers: handed on as they came, with the address that providers sign.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;

use super::public::pages::Notice;
use super::{Client, Request, Shared};
use crate::inbound::webhook::{Answer, Call};

/// Who receives the calls, by the provider's name.
pub type Hooks = Arc<dyn Fn(String, Call) -> BoxFuture<'static, Answer> + Send + Sync>;

pub(super) async fn receive(State(web): Shared, request: Request) -> Response {
    let Some(hooks) = &web.hooks else { return web.notice(Notice::NotFound) };
    let client = request.extensions().get::<Client>().map(|client| client.0);
    let (parts, body) = request.into_parts();
    let Some(body) = super::read(body).await else { return web.notice(Notice::TooLarge) };
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let provider = path.rsplit('/').next().unwrap_or_default().to_owned();
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
    let asked = if query.is_empty() { String::new() } else { format!("?{query}") };
    let call = Call {
        method: parts.method.to_string(),
        url: format!("{}{path}{asked}", web.brand.base_url),
        headers: headers.collect(),
        query,
        body,
    };
    let answer = hooks(provider, call).await;
    // Whoever is believed may call as often as messages go out, also from a network of which others are not.
    if matches!(answer.status, 403 | 404) && client.is_some_and(|client| !web.forged.allows(client)) {
        return web.notice(Notice::TooMany);
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, answer.content_type)], Body::from(answer.body)).into_response()
}
