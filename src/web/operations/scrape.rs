//! Metrics for Prometheus: what the process counted since it started, and what the store and the queue
//! say when they are asked. No label holds anything of a member.

use std::sync::OnceLock;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, CatalogError};
use crate::domain::message::Channel;
use crate::store::{configuration, gauges, replies, suppressions};
use crate::web::{Shared, Web};

/// How a metric changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric: its kind, its name, its labels and what it says.
pub const METRICS: &[(Kind, &str, &str, &str)] = &[
    (Kind::Counter, "rekindle_scans_total", "campaign", "scans that ended"),
    (Kind::Counter, "rekindle_planned_total", "campaign", "messages that scans put into the ledger"),
    (Kind::Counter, "rekindle_dispatched_total", "decision", "decisions of the dispatcher: queued, deferred, ended"),
    (Kind::Counter, "rekindle_ended_total", "stage, reason", "messages that policy ended, at dispatch or at the send"),
    (Kind::Counter, "rekindle_published_total", "result", "messages given to the queue: confirmed, refused"),
    (Kind::Counter, "rekindle_claimed_total", "channel", "messages that senders claimed"),
    (
        Kind::Counter,
        "rekindle_attempts_total",
        "channel, sender, outcome",
        "attempts that ended: sent, retry, rejected, paused, uncertain",
    ),
    (Kind::Counter, "rekindle_store_statements_total", "", "statements that this process ran"),
    (Kind::Counter, "rekindle_store_transactions_total", "", "transactions that this process committed"),
    (Kind::Histogram, "rekindle_attempt_seconds", "channel, sender", "how long attempts took"),
    (Kind::Counter, "rekindle_retries_total", "channel, sender", "attempts after which a message is tried again later"),
    (Kind::Counter, "rekindle_sender_pauses_total", "channel, sender", "how often a sender paused"),
    (Kind::Counter, "rekindle_server_rests_total", "sender", "how often one of several servers began to rest"),
    (Kind::Counter, "rekindle_domain_pauses_total", "", "how often a recipients' domain wanted less"),
    (Kind::Gauge, "rekindle_sender_state", "sender", "of a server: 0 works, 0.5 is tried, 1 rests"),
    (
        Kind::Counter,
        "rekindle_recovered_total",
        "result",
        "messages taken back from processes that ended: replanned, uncertain, resent",
    ),
    (Kind::Counter, "rekindle_events_total", "kind", "what was heard back for the first time"),
    (
        Kind::Counter,
        "rekindle_recount_differs_total",
        "",
        "counts of a day that were not what the messages say, mended at night",
    ),
    (Kind::Counter, "rekindle_http_requests_total", "route, status", "requests answered"),
    (
        Kind::Counter,
        "rekindle_http_refused_connections_total",
        "",
        "connections closed at once, since their network has its share of them open",
    ),
    (Kind::Counter, "rekindle_hook_failures_total", "provider", "calls to `/hooks/` without a right signature or key"),
    (Kind::Gauge, "rekindle_ready_messages", "", "planned messages whose time has come, up to 20,000"),
    (Kind::Gauge, "rekindle_lag_seconds", "", "how long the oldest of them has been ready"),
    (Kind::Gauge, "rekindle_queued_messages", "", "messages that wait for a sender"),
    (Kind::Gauge, "rekindle_in_flight_messages", "", "messages that senders hold"),
    (Kind::Gauge, "rekindle_queue_depth", "channel", "messages in the queue; absent where the process has none"),
    (Kind::Gauge, "rekindle_held_campaigns", "", "campaigns above their ceiling"),
    (Kind::Gauge, "rekindle_paused", "", "1 while everything is paused"),
    (
        Kind::Gauge,
        "rekindle_alert",
        "alert, about",
        "1 while a campaign is not scanned or is silent where it is usually not, a server rests, a pool runs out, or a reply is unread",
    ),
    (Kind::Gauge, "rekindle_gift_codes_left", "pool", "codes left in the pools that live campaigns draw on"),
    (Kind::Gauge, "rekindle_uncertain_messages", "", "messages handed over whose answer was lost"),
    (
        Kind::Gauge,
        "rekindle_unread_replies",
        "urgent",
        "what members wrote and nobody has read: nearly an opt-out (yes), or anything else (no)",
    ),
    (Kind::Gauge, "rekindle_suppressions", "", "addresses closed for a purpose; counted every five minutes"),
];

/// Counting every suppression takes a moment, so it is not done at each scrape.
const SUPPRESSIONS_FRESH: Duration = Duration::from_secs(300);

/// How often what histograms gathered is summed up, so that it does not grow without a scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// The queue must say its depth within it.
const ANSWER: Duration = Duration::from_secs(2);

/// What is kept between scrapes.
#[derive(Default)]
pub(in crate::web) struct Scrapes {
    catalog: Option<std::sync::Arc<Catalog>>,
    suppressions_at: Option<Instant>,
}

/// The recorder of this process: it counts from the first call on.
pub(in crate::web) fn recorder() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];
        let matcher = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new();
        let recorder = builder.set_buckets_for_metric(matcher, &seconds).unwrap_or_default().build_recorder();
        let handle = recorder.handle();
        // Only this function sets one, and once.
        let _ = metrics::set_global_recorder(recorder);
        for (kind, name, _, help) in METRICS {
            match kind {
                Kind::Counter => describe_counter!(*name, *help),
                Kind::Gauge => describe_gauge!(*name, *help),
                Kind::Histogram => describe_histogram!(*name, Unit::Seconds, *help),
            }
        }
        handle
    })
}

/// Sums up what was gathered, until `shutdown`.
pub(in crate::web) async fn keep_up(shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        recorder().run_upkeep();
        tokio::select! {
            () = tokio::time::sleep(UPKEEP) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// `GET /metrics`. What the store or the queue does not say stays as it was.
pub(in crate::web) async fn scrape(State(web): Shared) -> Response {
    {
        let mut scrapes = web.scrapes.lock().await;
        if let Err(error) = ask_store(&web, &mut scrapes).await {
            tracing::warn!(%error, "the store does not say its metrics");
        }
    }
    ask_queue(&web).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder().render()).into_response()
}

/// What the store says about the work at hand.
async fn ask_store(web: &Web, scrapes: &mut Scrapes) -> Result<(), CatalogError> {
    let now = web.clock.now();
    let mut tx = web.store.read().await?;
    let silent = match Catalog::current(&mut tx, &web.settings, scrapes.catalog.as_ref()).await {
        Ok(catalog) => {
            let silent = catalog.silent();
            scrapes.catalog = Some(catalog);
            silent
        }
        Err(CatalogError::NothingApplied) => Vec::new(),
        Err(error) => return Err(error),
    };
    let found = gauges::read(&mut tx, now, &silent).await?;
    let paused = configuration::all_paused(&mut tx).await?;
    let unread = replies::unread(&mut tx, now).await?;
    if scrapes.suppressions_at.is_none_or(|at| at.elapsed() > SUPPRESSIONS_FRESH) {
        set("rekindle_suppressions", suppressions::count(&mut tx).await?);
        scrapes.suppressions_at = Some(Instant::now());
    }
    tx.commit().await?;
    let lag = found.oldest_ready.map_or(0, |at| (now - at).num_milliseconds().max(0));
    set("rekindle_ready_messages", found.ready);
    gauge!("rekindle_lag_seconds").set(lag as f64 / 1000.0);
    set("rekindle_queued_messages", found.queued);
    set("rekindle_in_flight_messages", found.in_flight);
    set("rekindle_held_campaigns", found.held);
    set("rekindle_uncertain_messages", found.uncertain);
    for (urgent, count) in [("yes", unread.urgent), ("no", unread.all - unread.urgent)] {
        gauge!("rekindle_unread_replies", "urgent" => urgent).set(count as f64);
    }
    set("rekindle_paused", i64::from(paused));
    Ok(())
}

fn set(name: &'static str, value: i64) {
    gauge!(name).set(value as f64);
}

async fn ask_queue(web: &Web) {
    let Some(queue) = &web.queue else { return };
    for channel in Channel::ALL {
        match tokio::time::timeout(ANSWER, queue.depth(*channel)).await {
            Ok(Ok(depth)) => gauge!("rekindle_queue_depth", "channel" => channel.as_str()).set(depth as f64),
            Ok(Err(error)) => tracing::warn!(%error, "the queue does not say its depth"),
            Err(_) => tracing::warn!("the queue does not say its depth in time"),
        }
    }
}
