//! The pages that members see: plain HTML that works without scripts, pictures or anything from elsewhere.

use std::sync::LazyLock;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::preferences::{Position, Recipient};
use super::words::{Words, of, words};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::local_date;
use crate::rendering::localised;

const STYLE: &str = include_str!("style.css");

/// What a browser may do on our pages: show them with this style, and send their forms to us.
pub(in crate::web) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = BASE64.encode(&Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

/// A page that says why there is nothing else to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Notice {
    NotFound,
    WrongMethod,
    Unreadable,
    TooLarge,
    TooMany,
    Unavailable,
}

pub(in crate::web) fn notice(brand: &Brand, notice: Notice) -> Response {
    let words = words(&brand.locale);
    let (status, [title, text]) = match notice {
        Notice::NotFound => (StatusCode::NOT_FOUND, words.not_found),
        Notice::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, words.wrong_method),
        Notice::Unreadable => (StatusCode::BAD_REQUEST, words.unreadable),
        Notice::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, words.too_large),
        Notice::TooMany => (StatusCode::TOO_MANY_REQUESTS, words.too_many),
        Notice::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, words.unavailable),
    };
    let mut response = page(brand, words, title, html! { section .card { h1 { (title) } p { (text) } } });
    *response.status_mut() = status;
    if matches!(notice, Notice::TooMany | Notice::Unavailable) {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("60"));
    }
    response
}

/// Asks whether to stop, with one button.
pub(in crate::web) fn unsubscribe(brand: &Brand, recipient: &Recipient, token: &str) -> Response {
    let words = words(recipient.member.locale(brand));
    let question = named(of(recipient.channel, words.stop_question), brand);
    let content = html! {
        section .card {
            h1 { (question) }
            p { (words.stop_explained) }
            form method="post" action={ "../u/" (token) } {
                input type="hidden" name="List-Unsubscribe" value="One-Click";
                button type="submit" { (words.stop) }
            }
        }
        p .foot { a href={ "../p/" (token) } { (words.to_preferences) } }
    };
    page(brand, words, &question, content)
}

/// Says that it is done.
pub(in crate::web) fn unsubscribed(brand: &Brand, recipient: &Recipient, token: &str) -> Response {
    let words = words(recipient.member.locale(brand));
    let content = html! {
        section .card role="status" {
            h1 { (words.stopped_title) }
            p { (named(of(recipient.channel, words.stopped), brand)) }
            p .soft { (words.orders_go_on) }
        }
        p .foot { a href={ "../p/" (token) } { (words.to_preferences) } }
    };
    page(brand, words, words.stopped_title, content)
}

/// Channels and pause; `saved` after a change.
pub(in crate::web) fn preferences(
    brand: &Brand,
    recipient: &Recipient,
    token: &str,
    now: Instant,
    saved: bool,
) -> Response {
    let words = words(recipient.member.locale(brand));
    let action = format!("../p/{token}");
    let choosable = recipient.positions.iter().any(|(_, position)| *position != Position::Closed);
    let content = html! {
        section .card {
            h1 { (words.preferences_title) }
            @if saved { p .done role="status" { (words.saved) } }
            @if recipient.positions.is_empty() { p { (words.no_address) } }
            @else {
                form method="post" action=(action) {
                    fieldset {
                        legend { (named(words.preferences_lead, brand)) }
                        @for (channel, position) in &recipient.positions {
                            @let closed = *position == Position::Closed;
                            label .closed[closed] {
                                input type="checkbox" name=(channel) value="on"
                                    checked[*position == Position::On] disabled[closed];
                                span {
                                    (of(*channel, words.channel))
                                    @if closed { br; span .soft { (words.closed) } }
                                }
                            }
                        }
                    }
                    @if choosable { button type="submit" name="action" value="channels" { (words.save) } }
                }
            }
        }
        @if choosable {
            section .card {
                @match recipient.paused_until(now) {
                    Some(until) => {
                        p role="status" { (words.paused.replace("{date}", &date(brand, recipient, until))) }
                        form method="post" action=(action) {
                            button .quiet type="submit" name="action" value="resume" { (words.resume) }
                        }
                    }
                    None => {
                        h2 { (words.pause_title) }
                        p { (words.pause_explained) }
                        form method="post" action=(action) {
                            button .quiet type="submit" name="action" value="pause" { (words.pause) }
                        }
                    }
                }
            }
        }
        p .foot.soft { (words.orders_go_on) }
    };
    page(brand, words, words.preferences_title, content)
}

/// The brand's name in a text, kept together whichever way each of them is written.
fn named(text: &str, brand: &Brand) -> String {
    text.replace("{brand}", &format!("\u{2068}{}\u{2069}", brand.name))
}

/// A date as the member reads it.
fn date(brand: &Brand, recipient: &Recipient, at: Instant) -> String {
    let member = &recipient.member;
    let date = local_date(member.zone(brand), at);
    // In the language of the page, which is not always the member's.
    let lang = words(member.locale(brand)).lang;
    localised(date, lang, member.calendar(brand).as_str()).unwrap_or_else(|| date.to_string())
}

fn page(brand: &Brand, words: &Words, title: &str, content: Markup) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang=(words.lang) dir=(words.dir) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex, nofollow";
                title { (title) " · " (brand.name) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { p .brand { (brand.name) } (content) } }
        }
    };
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], markup.into_string()).into_response()
}
