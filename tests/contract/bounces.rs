//! What a mail that came back must change on every database, and what it must not.
//! `bounces_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use rekindle::clock::Clock;
use rekindle::domain::token::TokenUse;
use rekindle::import::Kind;
use rekindle::inbound::bounces::ingest::{Ingested, ingest};
use rekindle::inbound::bounces::maildir;
use rekindle::store::{configuration, replies, suppressions};
use uuid::Uuid;

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at};

contract! {
    bounces_contract:
    a_signed_return_path_is_believed_once
    a_message_id_is_believed_with_the_address_it_went_to
    a_mailbox_that_stays_full_is_closed_after_days
    a_domain_that_takes_no_mail_is_closed_on_a_second_day
    a_services_notification_says_as_much_as_a_report
    what_a_person_answers_is_kept_and_what_a_program_writes_is_not
    a_complaint_closes_marketing
    a_mail_unsubscribes_like_the_link
    warnings_blocks_and_answers_close_nothing
    a_maildir_is_emptied
}

const SENT: &str = "2024-05-01T10:00:00Z";

/// A shop that has sent one mail to `sara@example.com`; the message, and the token for a use.
async fn sent(size: &Size) -> (Shop, Uuid) {
    let shop = Shop::new(size, PLAIN);
    shop.campaign("hello", "trigger: { kind: welcome }\nchannels: [email]");
    let row = format!("external_id,email,email_consent,joined_at\nm1,Sara@example.com,true,{SENT}\n");
    shop.import(Kind::Members, row).await;
    shop.once(SENT).await;
    assert_eq!(shop.states().await, ["m1 hello main sent -"]);
    let id = shop.ledger().await[0].id;
    (shop, id)
}

pub async fn token(shop: &Shop, used_for: TokenUse, message: Uuid) -> String {
    let mut tx = shop.store().await.read().await.unwrap();
    let key = configuration::token_key(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    key.token(used_for, message)
}

/// A DSN about `recipient`.
pub fn dsn(to: &str, recipient: &str, status: &str, said: &str, message_id: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example.com\nTo: {to}\nSubject: Undelivered Mail Returned to Sender\n\
        Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nThe mail system\n\n\
        <{recipient}>: {said}\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\n\
        Final-Recipient: rfc822; {recipient}\nAction: failed\nStatus: {status}\nDiagnostic-Code: smtp; {said}\n\
        --b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <{message_id}>\n--b--\n"
    )
}

async fn take(shop: &Shop, mail: &str, now: &str) -> Ingested {
    let mut done = ingest(shop.store().await, mail.as_bytes(), None, at(now)).await.unwrap();
    assert_eq!(done.len(), 1);
    done.remove(0)
}

/// The purposes for which the address is closed.
async fn closed(shop: &Shop) -> Vec<String> {
    let mut tx = shop.store().await.read().await.unwrap();
    let found = suppressions::of_addresses(&mut tx, vec!["sara@example.com".to_owned()]).await.unwrap();
    tx.commit().await.unwrap();
    let mut purposes: Vec<String> = found.into_iter().map(|(_, purpose)| purpose).collect();
    purposes.sort();
    purposes
}

const NOW: &str = "2024-05-01T12:00:00Z";

pub async fn a_signed_return_path_is_believed_once(size: Size) {
    let (shop, id) = sent(&size).await;
    let token = token(&shop, TokenUse::Return, id).await.to_uppercase();
    let own = format!("bounces+{token}@shop.example");
    // What failed is somebody whom the mail was forwarded to.
    let forwarded = dsn(&own, "old@example.net", "5.1.1", "550 5.1.1 User unknown", "x@y");
    let done = take(&shop, &forwarded, NOW).await;
    assert_eq!((done.message, done.is_new, done.suppressed), (Some(id), true, false));
    assert!(closed(&shop).await.is_empty());

    let bounce = dsn(&own, "sara@example.com", "5.1.1", "550 5.1.1 User unknown", "x@y");
    let done = take(&shop, &bounce, NOW).await;
    assert_eq!((done.message, done.is_new, done.suppressed), (Some(id), true, true));
    assert!(!take(&shop, &bounce, NOW).await.is_new, "the same mail again");
    assert_eq!(closed(&shop).await, ["marketing", "service"]);
    assert_eq!(shop.states().await, ["m1 hello main bounced -"]);
    shop.close().await;
}

pub async fn a_message_id_is_believed_with_the_address_it_went_to(size: Size) {
    let (shop, id) = sent(&size).await;
    let said = "550 5.1.1 User unknown";
    let of_link = token(&shop, TokenUse::Click, id).await;
    for forged in [
        dsn("hello@shop.example", "ali@example.com", "5.1.1", said, &format!("{id}@shop.example")),
        dsn("hello@shop.example", "sara@example.com", "5.1.1", said, &format!("{}@shop.example", Uuid::from_u128(7))),
        dsn("hello@shop.example", "sara@example.com", "5.1.1", said, "nothing@shop.example"),
        dsn(&format!("bounces+{of_link}@shop.example"), "sara@example.com", "5.1.1", said, "x@y"),
    ] {
        let done = take(&shop, &forged, NOW).await;
        assert_eq!((done.message, done.suppressed), (None, false), "{forged}");
    }
    assert!(closed(&shop).await.is_empty());
    let true_one = dsn("hello@shop.example", "SARA@example.com", "5.1.1", said, &format!("{id}@shop.example"));
    assert!(take(&shop, &true_one, NOW).await.suppressed);
    assert_eq!(closed(&shop).await, ["marketing", "service"]);
    shop.close().await;
}

pub async fn a_mailbox_that_stays_full_is_closed_after_days(size: Size) {
    let (shop, id) = sent(&size).await;
    let to = format!("bounces+{}@shop.example", token(&shop, TokenUse::Return, id).await);
    let full = |n: usize| dsn(&to, "sara@example.com", "5.2.2", "552 5.2.2 Mailbox full", &format!("{n}@y"));
    // Many on one day are one; those of two months ago have passed.
    for n in 0..8 {
        assert!(!take(&shop, &full(n), "2024-03-01T12:00:00Z").await.suppressed);
    }
    for day in 1..=4 {
        assert!(!take(&shop, &full(10 + day), &format!("2024-05-0{day}T12:00:00Z")).await.suppressed, "day {day}");
    }
    assert!(closed(&shop).await.is_empty());
    assert!(take(&shop, &full(20), "2024-05-09T12:00:00Z").await.suppressed);
    assert_eq!(closed(&shop).await, ["marketing", "service"]);
    shop.close().await;
}

pub async fn a_domain_that_takes_no_mail_is_closed_on_a_second_day(size: Size) {
    let (shop, id) = sent(&size).await;
    let to = format!("bounces+{}@shop.example", token(&shop, TokenUse::Return, id).await);
    let said = "Domain example.com does not accept mail (nullMX)";
    let notice = |n: usize, whom: &str| dsn(&to, whom, "5.7.27", said, &format!("{n}@y"));
    // Twice on one day is once, what was two months ago has passed, and another's address says nothing.
    for (n, now) in [(1, "2024-03-01T12:00:00Z"), (2, "2024-05-01T12:00:00Z"), (3, "2024-05-01T22:00:00Z")] {
        let done = take(&shop, &notice(n, "sara@example.com"), now).await;
        assert_eq!((done.is_new, done.suppressed), (true, false), "{now}");
    }
    assert!(!take(&shop, &notice(4, "old@example.net"), "2024-05-02T12:00:00Z").await.suppressed);
    assert!(closed(&shop).await.is_empty());
    assert!(take(&shop, &notice(5, "sara@example.com"), "2024-05-02T12:00:00Z").await.suppressed);
    assert_eq!(closed(&shop).await, ["marketing", "service"]);
    let mut tx = shop.store().await.read().await.unwrap();
    let why = suppressions::marketing(&mut tx, vec!["sara@example.com".to_owned()]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(why, [("sara@example.com".to_owned(), "no_mail".to_owned())]);
    shop.close().await;
}

pub async fn a_services_notification_says_as_much_as_a_report(size: Size) {
    let (shop, id) = sent(&size).await;
    let notification = |message_id: &str| {
        let bounce = serde_json::json!({
            "notificationType": "Bounce",
            "bounce": { "bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [{
                "emailAddress": "sara@example.com", "action": "failed", "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown" }] },
            "mail": { "messageId": "0102-000000", "commonHeaders": { "messageId": message_id } },
        });
        format!(
            "From: no-reply@sns.example\nTo: hello@shop.example\nSubject: Notification\n\n{bounce}\n\n--\nTo stop this, click\n"
        )
    };
    let done = take(&shop, &notification("<x@shop.example>"), NOW).await;
    assert_eq!((done.message, done.suppressed), (None, false), "anybody can write one");
    let own = notification(&format!("<{id}@shop.example>"));
    let done = take(&shop, &own, NOW).await;
    assert_eq!((done.message, done.is_new, done.suppressed), (Some(id), true, true));
    assert!(!take(&shop, &own, NOW).await.is_new, "the same mail again");
    assert_eq!(closed(&shop).await, ["marketing", "service"]);
    assert_eq!(shop.states().await, ["m1 hello main bounced -"]);
    shop.close().await;
}

pub async fn what_a_person_answers_is_kept_and_what_a_program_writes_is_not(size: Size) {
    let (shop, id) = sent(&size).await;
    let to = format!("bounces+{}@shop.example", token(&shop, TokenUse::Return, id).await);
    let mail = |from: &str, to: &str, more: &str, text: &str| {
        format!("From: {from}\nTo: {to}\nSubject: Re: Hello\n{more}\n{text}\n> Hello Sara, unsubscribe here\n")
    };
    let other = "hello@shop.example";
    let answers = format!("In-Reply-To: <{id}@shop.example>\n");
    let kept = [
        mail("Sara <SARA@example.com>", other, "", "please unsubscribe me"),
        mail("ali@example.net", &to, "", "لطفا لغو کنید"),
        mail("ali@example.net", other, &answers, "Thank you for the gift"),
    ];
    for mail in &kept {
        for _ in 0..2 {
            assert!(!take(&shop, mail, NOW).await.suppressed);
        }
    }
    for mail in [
        mail("stranger@example.net", other, "", "please unsubscribe me"),
        mail("sara@example.com", other, "List-Id: <news.example>\n", "unsubscribe"),
        mail("sara@example.com", &to, "Auto-Submitted: auto-replied\n", "I am away; stop"),
        dsn(&to, "sara@example.com", "2.0.0", "250 ok", "x@y").replace("Action: failed", "Action: delivered"),
    ] {
        take(&shop, &mail, NOW).await;
    }
    let mut tx = shop.store().await.read().await.unwrap();
    let found = replies::list(&mut tx, at(NOW)).await.unwrap();
    tx.commit().await.unwrap();
    let mut found: Vec<_> = found.into_iter().map(|row| (row.address, row.urgent, row.text)).collect();
    found.sort();
    let row = |address: &str, urgent, text: &str| (address.to_owned(), urgent, text.to_owned());
    let expected = [
        row("ali@example.net", false, "Re: Hello: Thank you for the gift"),
        row("ali@example.net", true, "Re: Hello: لطفا لغو کنید"),
        row("sara@example.com", true, "Re: Hello: please unsubscribe me"),
    ];
    assert_eq!(found, expected);
    assert!(closed(&shop).await.is_empty());
    shop.close().await;
}

pub async fn a_complaint_closes_marketing(size: Size) {
    let (shop, id) = sent(&size).await;
    let report = format!(
        "From: fbl@isp.example\nTo: abuse@shop.example\nSubject: report\n\
        Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\nA complaint.\n--b\n\
        Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nOriginal-Rcpt-To: sara@example.com\n--b\n\
        Content-Type: message/rfc822\n\nMessage-ID: <{id}@shop.example>\nTo: sara@example.com\n\nx\n--b--\n"
    );
    assert!(take(&shop, &report, NOW).await.suppressed);
    assert_eq!(closed(&shop).await, ["marketing"]);
    assert_eq!(shop.states().await, ["m1 hello main complained -"]);
    shop.close().await;
}

pub async fn a_mail_unsubscribes_like_the_link(size: Size) {
    let (shop, id) = sent(&size).await;
    let of_link = token(&shop, TokenUse::Click, id).await;
    let token = token(&shop, TokenUse::Unsubscribe, id).await;
    let forged = format!("From: x@example.net\nTo: unsubscribe+{of_link}@shop.example\nSubject: unsubscribe\n\n");
    assert_eq!(take(&shop, &forged, NOW).await.message, None);
    let subject = format!("From: sara@example.com\nTo: hello@shop.example\nSubject: Unsubscribe {token}\n\n");
    let done = take(&shop, &subject, NOW).await;
    assert_eq!((done.message, done.is_new, done.suppressed), (Some(id), true, true));
    let address = format!("From: sara@example.com\nTo: <unsubscribe+{token}@shop.example>\n\n");
    assert_eq!(take(&shop, &address, NOW).await.message, Some(id));
    assert_eq!(closed(&shop).await, ["marketing"]);
    assert_eq!(shop.states().await, ["m1 hello main sent -"], "it arrived");
    shop.close().await;
}

pub async fn warnings_blocks_and_answers_close_nothing(size: Size) {
    let (shop, id) = sent(&size).await;
    let to = format!("bounces+{}@shop.example", token(&shop, TokenUse::Return, id).await);
    let late =
        dsn(&to, "sara@example.com", "4.4.1", "451 4.4.1 later", "x@y").replace("Action: failed", "Action: delayed");
    let vacation =
        format!("From: sara@example.com\nTo: {to}\nSubject: Out of office\nAuto-Submitted: auto-replied\n\nx\n");
    for mail in [late, vacation] {
        let done = take(&shop, &mail, NOW).await;
        assert_eq!((done.message, done.suppressed), (None, false), "{mail}");
    }
    assert_eq!(shop.states().await, ["m1 hello main sent -"]);
    let blocked = dsn(&to, "sara@example.com", "5.7.1", "550 5.7.1 blocked using a list", "x@y");
    let done = take(&shop, &blocked, NOW).await;
    assert_eq!((done.message, done.suppressed), (Some(id), false));
    assert!(closed(&shop).await.is_empty());
    assert_eq!(shop.states().await, ["m1 hello main bounced -"]);
    shop.close().await;
}

pub async fn a_maildir_is_emptied(size: Size) {
    let (shop, id) = sent(&size).await;
    let to = format!("bounces+{}@shop.example", token(&shop, TokenUse::Return, id).await);
    let bounce = dsn(&to, "sara@example.com", "5.1.1", "550 5.1.1 User unknown", "x@y");
    for folder in ["tmp", "cur"] {
        std::fs::create_dir_all(shop.folder.0.join("Maildir").join(folder)).unwrap();
    }
    shop.write("Maildir/new/1714558800.1.mx", &bounce);
    shop.write("Maildir/new/1714558801.2.mx", "no mail at all");
    std::fs::create_dir(shop.folder.0.join("Maildir/new/1714558802.3.mx")).unwrap();
    let maildir = shop.folder.0.join("Maildir");
    let clock = Clock::simulated(at(NOW));
    assert_eq!(maildir::poll(&maildir, shop.store().await, &clock).await.unwrap(), 2);
    assert_eq!(maildir::poll(&maildir, shop.store().await, &clock).await.unwrap(), 0);
    let mut left: Vec<String> = ["new", "cur"]
        .iter()
        .flat_map(|name| std::fs::read_dir(maildir.join(name)).unwrap())
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();
    assert_eq!(left, ["1714558800.1.mx:2,S", "1714558801.2.mx:2,S", "1714558802.3.mx"], "a folder cannot be read");
    assert_eq!(closed(&shop).await, ["marketing", "service"]);
    shop.close().await;
}
