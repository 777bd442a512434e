//! The reasons that a server gives for a message that is not sent, through the pipeline.
//! `reasons_contract!` makes the tests; each gets a [`Size`] with nothing in it. That every reason has
//! a rule is held by `tests/embedded/reasons.rs`.

#![allow(dead_code, reason = "each test target uses a part of it")]

use rekindle::import::Kind;
use wiremock::MockServer;

use crate::support::contract::contract;
use crate::support::gateway;
use crate::support::shop::{PLAIN, Shop, Size};

contract! {
    reasons_contract:
    what_a_provider_refuses_fails_with_its_reason
    what_is_retried_for_a_day_fails
    what_cannot_be_made_into_a_mail_fails_alone_and_asks_no_server
}

const TEN: &str = "2024-05-02T10:00:00Z";

/// A shop that sends by the gateway to numbers that end so, which is what it answers; and the gateway.
async fn by_gateway(size: &Size, endings: &[u16]) -> (Shop, MockServer) {
    let (shop, server) = gateway::shop(size, |body| {
        let to = body.split('&').find_map(|field| field.strip_prefix("to=")).unwrap();
        to[to.len() - 3..].parse().unwrap()
    })
    .await;
    let letter = format!("trigger: {{ kind: broadcast, at: {TEN} }}\nchannels: [sms]\nlimits: {{ late: always }}");
    shop.campaign("letter", &letter);
    let rows: String = endings.iter().map(|end| format!("m{end},+989121234{end},true\n")).collect();
    shop.import(Kind::Members, "external_id,phone,sms_consent\n".to_owned() + &rows).await;
    (shop, server)
}

pub async fn what_a_provider_refuses_fails_with_its_reason(size: Size) {
    let (shop, _gateway) = by_gateway(&size, &[200, 411, 412, 413, 414]).await;
    shop.once(TEN).await;
    assert_eq!(
        shop.states().await,
        [
            "m200 letter main sent -",
            "m411 letter main failed bad_recipient",
            "m412 letter main failed refused",
            "m413 letter main failed message_refused",
            "m414 letter main failed our_fault",
        ]
    );
    shop.close().await;
}

pub async fn what_is_retried_for_a_day_fails(size: Size) {
    let (shop, gateway) = by_gateway(&size, &[429]).await;
    for now in [TEN, "2024-05-02T22:00:00Z", "2024-05-03T09:50:00Z"] {
        shop.once(now).await;
        assert_eq!(shop.states().await, ["m429 letter main planned -"], "{now}");
    }
    shop.once("2024-05-03T10:00:00Z").await;
    assert_eq!(shop.states().await, ["m429 letter main failed retries_exhausted"]);
    shop.once("2024-05-04T10:00:00Z").await;
    assert_eq!(gateway.received_requests().await.unwrap().len(), 4);
    shop.close().await;
}

pub async fn what_cannot_be_made_into_a_mail_fails_alone_and_asks_no_server(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.write("templates/note/subject.txt", "{{default member.attributes.word \"Hello\"}}");
    shop.campaign("letter", &format!("trigger: {{ kind: broadcast, at: {TEN} }}\nchannels: [email]"));
    // One word that no line of a header can hold.
    let word = "x".repeat(1_000);
    let members = format!(
        "external_id,email,email_consent,attributes.word\nm1,a@example.com,true,{word}\nm2,b@example.com,true,\n"
    );
    shop.import(Kind::Members, members).await;
    shop.once(TEN).await;
    assert_eq!(shop.states().await, ["m1 letter main failed unbuildable", "m2 letter main sent -"]);
    shop.close().await;
}
