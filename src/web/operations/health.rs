//! Whether the process lives, and whether it can work. Answers name no host and no error: those are in
//! the log.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::domain::message::Channel;
use crate::store::configuration;
use crate::web::{Shared, Web};

/// The store and the queue must answer within it.
const ANSWER: Duration = Duration::from_secs(3);

/// Who asks more often gets the same answer.
const FRESH: Duration = Duration::from_secs(1);

/// What was found, and when.
pub(in crate::web) type Known = tokio::sync::Mutex<Option<(Instant, Ready)>>;

/// Whether this process can do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(in crate::web) struct Ready {
    ready: bool,
    store: &'static str,
    /// `not used` where none of the process's roles needs it.
    queue: &'static str,
}

/// `GET /health/live`: it answers, so it lives.
pub(in crate::web) async fn live() -> Response {
    Json(serde_json::json!({ "live": true })).into_response()
}

/// `GET /health/ready`: 200 where the store and the queue answer, else 503 and what does not.
pub(in crate::web) async fn ready(State(web): Shared) -> Response {
    let mut known = web.ready.lock().await;
    let ready = match *known {
        Some((at, ready)) if at.elapsed() < FRESH => ready,
        _ => {
            let ready = look(&web).await;
            *known = Some((Instant::now(), ready));
            ready
        }
    };
    let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ready)).into_response()
}

async fn look(web: &Web) -> Ready {
    let store = async {
        let mut tx = web.store.read().await?;
        configuration::all_paused(&mut tx).await?;
        tx.commit().await
    };
    let queue = async {
        match &web.queue {
            Some(queue) => queue.depth(Channel::Email).await.map(|_| "ok"),
            None => Ok("not used"),
        }
    };
    let (store, queue) = tokio::join!(timeout(ANSWER, store), timeout(ANSWER, queue));
    let store = match store {
        Ok(Ok(())) => "ok",
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the store");
            "does not work"
        }
        Err(_) => "does not answer",
    };
    let queue = match queue {
        Ok(Ok(word)) => word,
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the queue");
            "does not work"
        }
        Err(_) => "does not answer",
    };
    Ready { ready: store == "ok" && matches!(queue, "ok" | "not used"), store, queue }
}
