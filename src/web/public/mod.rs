//! What messages link to: stopping, choosing, a picture that says that a mail was opened, and links that
//! lead elsewhere. Nothing happens without a token that we signed, nothing happens twice, and looking at a
//! page changes nothing, since mail scanners follow every link.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use uuid::Uuid;

mod machines;
pub mod pages;
mod preferences;
mod words;

use pages::Notice;
use preferences::{Position, Recipient};

use super::{Failed, Request, Shared, Web};
use crate::domain::message::{Channel, EventKind};
use crate::domain::token::TokenUse;
use crate::rendering::links;
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};

/// A transparent picture of one pixel.
const PICTURE: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\
    \x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// The last part of the path. Tokens are letters and digits, so nothing in them is escaped.
fn token(request: &Request) -> &str {
    request.uri().path().rsplit('/').next().unwrap_or_default()
}

/// `GET /u/{token}`: a page with one button.
pub(super) async fn ask_to_stop(State(web): Shared, request: Request) -> Result<Response, Failed> {
    let token = token(&request);
    let Some(recipient) = look_up(&web, token).await? else { return Ok(web.notice(Notice::NotFound)) };
    Ok(pages::unsubscribe(&web.brand, &recipient, token))
}

/// `POST /u/{token}` (RFC 8058): stops at once. Whatever the body says: to post here is to ask for it.
pub(super) async fn stop(State(web): Shared, request: Request) -> Result<Response, Failed> {
    let token = token(&request).to_owned();
    if super::read(request.into_body()).await.is_none() {
        return Ok(web.notice(Notice::TooLarge));
    }
    let now = web.clock.now();
    let changed = change(&web, &token, async |tx, recipient| recipient.switch_off(tx, recipient.channel, now).await);
    let Some(recipient) = changed.await? else { return Ok(web.notice(Notice::NotFound)) };
    Ok(pages::unsubscribed(&web.brand, &recipient, &token))
}

/// `GET /p/{token}`: what the member gets.
pub(super) async fn show_preferences(State(web): Shared, request: Request) -> Result<Response, Failed> {
    let token = token(&request);
    let Some(recipient) = look_up(&web, token).await? else { return Ok(web.notice(Notice::NotFound)) };
    Ok(pages::preferences(&web.brand, &recipient, token, web.clock.now(), false))
}

/// `POST /p/{token}`: `action=channels` with the channels that are on, `action=pause`, `action=resume`.
pub(super) async fn save_preferences(State(web): Shared, request: Request) -> Result<Response, Failed> {
    let token = token(&request).to_owned();
    let Some(body) = super::read(request.into_body()).await else { return Ok(web.notice(Notice::TooLarge)) };
    // The form's names and values are plain words, so nothing in them is escaped.
    let body = String::from_utf8_lossy(&body).into_owned();
    let fields: Vec<(&str, &str)> = body.split('&').filter_map(|field| field.split_once('=')).collect();
    let action = fields.iter().find(|(name, _)| *name == "action").map(|(_, value)| *value);
    if !matches!(action, Some("channels" | "pause" | "resume")) {
        return Ok(web.notice(Notice::Unreadable));
    }
    let now = web.clock.now();
    let wanted = |channel: Channel| fields.iter().any(|field| *field == (channel.as_str(), "on"));
    let changed = change(&web, &token, async |tx, recipient| match action {
        Some("pause") => recipient.pause(tx, now).await,
        Some("resume") => recipient.resume(tx).await,
        _ => {
            for (channel, position) in &recipient.positions {
                match (position, wanted(*channel)) {
                    (Position::On, false) => recipient.switch_off(tx, *channel, now).await?,
                    (Position::Off, true) => recipient.switch_on(tx, *channel, now).await?,
                    _ => {}
                }
            }
            Ok(())
        }
    });
    let Some(recipient) = changed.await? else { return Ok(web.notice(Notice::NotFound)) };
    Ok(pages::preferences(&web.brand, &recipient, &token, now, true))
}

/// `GET /o/{token}`: the picture; the mail was opened.
pub(super) async fn opened(State(web): Shared, request: Request) -> Result<Response, Failed> {
    let Some(message) = web.tokens.message(TokenUse::Open, token(&request)) else {
        return Ok(web.notice(Notice::NotFound));
    };
    if request.method() == Method::GET {
        note(&web, Heard { message, kind: EventKind::Opened, what: None, detail: None }, request.headers()).await?;
    }
    Ok(([(header::CONTENT_TYPE, "image/gif")], PICTURE).into_response())
}

/// `GET /c/{token}?to=…`: leads to where the message's link pointed; it was clicked.
pub(super) async fn clicked(State(web): Shared, request: Request) -> Result<Response, Failed> {
    let query = request.uri().query().unwrap_or_default();
    let to = query.split('&').find_map(|part| part.strip_prefix("to="));
    let found = to.and_then(|to| links::click_target(&web.tokens, token(&request), to));
    let Some((message, target)) = found else { return Ok(web.notice(Notice::NotFound)) };
    let Ok(location) = HeaderValue::from_str(&ascii(&target)) else { return Ok(web.notice(Notice::NotFound)) };
    if request.method() == Method::GET {
        let hash: String = Sha256::digest(target.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        // What stands behind the path may be about a person.
        let path = target.split(['?', '#']).next().unwrap_or_default().to_owned();
        let heard = Heard { message, kind: EventKind::Clicked, what: Some(hash), detail: Some(path) };
        note(&web, heard, request.headers()).await?;
    }
    Ok((StatusCode::FOUND, [(header::LOCATION, location)]).into_response())
}

/// An address as it may stand in a header: what is not ASCII, a blank or a control is escaped.
fn ascii(target: &str) -> String {
    let escape = |byte: u8| match byte {
        0x21..=0x7e => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    target.bytes().map(escape).collect()
}

/// Who got the message of a link to our pages.
async fn look_up(web: &Web, token: &str) -> Result<Option<Recipient>, StoreError> {
    let Some(message) = web.tokens.message(TokenUse::Unsubscribe, token) else { return Ok(None) };
    let mut tx = web.store.read().await?;
    let found = Recipient::read(&mut tx, message).await?;
    tx.commit().await?;
    Ok(found)
}

/// Changes what the recipient of a link's message wants, and reads it anew.
async fn change(
    web: &Web,
    token: &str,
    change: impl AsyncFnOnce(&mut Tx, &Recipient) -> Result<(), StoreError>,
) -> Result<Option<Recipient>, StoreError> {
    let Some(message) = web.tokens.message(TokenUse::Unsubscribe, token) else { return Ok(None) };
    let mut tx = web.store.begin().await?;
    let Some(recipient) = Recipient::read(&mut tx, message).await? else { return Ok(None) };
    change(&mut tx, &recipient).await?;
    let recipient = Recipient::read(&mut tx, message).await?;
    tx.commit().await?;
    Ok(recipient)
}

/// What a request says about a message.
struct Heard {
    message: Uuid,
    kind: EventKind,
    /// Which of several it is.
    what: Option<String>,
    detail: Option<String>,
}

/// Records what was heard of a message that exists, once.
async fn note(web: &Web, heard: Heard, headers: &HeaderMap) -> Result<(), StoreError> {
    let Heard { message, .. } = heard;
    let at = web.clock.now().timestamp_millis();
    // Most pictures are loaded again and again: that takes no writing.
    let mut tx = web.store.read().await?;
    let known = events::about(&mut tx, message, None).await?;
    let events = events::of_message(&mut tx, message).await?;
    tx.commit().await?;
    let Some(about) = known else { return Ok(()) };
    let by_machine = machines::is_machine(headers, about.sent_at.map(|sent_at| at - sent_at));
    let (kind, what) = if by_machine { (EventKind::Prefetched, None) } else { (heard.kind, heard.what) };
    let key = [Some("web".to_owned()), Some(message.to_string()), Some(kind.to_string()), what];
    let key = key.into_iter().flatten().collect::<Vec<_>>().join(":");
    if events.iter().any(|event| event.key == key) {
        return Ok(());
    }
    // Only mails hold pictures and links that lead through us.
    let channel = Channel::Email.to_string();
    let detail = heard.detail.filter(|_| !by_machine);
    let event = Event { key, message_id: Some(message), kind: kind.to_string(), at, channel, address: None, detail };
    let mut tx = web.store.begin().await?;
    events::record(&mut tx, &[event]).await?;
    tx.commit().await
}
