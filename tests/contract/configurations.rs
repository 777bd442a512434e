//! Versions of the configuration, on every size: who makes one at the same time as somebody else loses nothing.
//! `configurations_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::BTreeSet;

use futures_util::future::join_all;
use rekindle::store::versions;

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at};

contract! {
    configurations_contract:
    versions_made_at_once_all_stand
    a_proposal_is_published_once
}

const NOON: &str = "2024-05-02T12:00:00Z";

/// A shop with one campaign, applied, whose settings are a file.
async fn shop(size: &Size) -> Shop {
    let shop = Shop::new(size, PLAIN);
    shop.campaign("hello", "trigger: { kind: welcome }");
    shop.app(at(NOON)).await.apply(&BTreeSet::new(), "").await.unwrap();
    shop
}

pub async fn versions_made_at_once_all_stand(size: Size) {
    const AT_ONCE: usize = 6;
    let shop = shop(&size).await;
    let app = shop.app(at(NOON)).await;
    let names: Vec<String> = (0..AT_ONCE).map(|number| format!("copy-{number}")).collect();
    let made = join_all(names.iter().map(async |name| app.duplicate("hello", name).await.unwrap().number)).await;
    let numbers: BTreeSet<i64> = made.into_iter().collect();
    assert_eq!(numbers, (2..2 + i64::try_from(AT_ONCE).unwrap()).collect());
    let catalog = app.applied(None).await.unwrap();
    let known: BTreeSet<&str> = catalog.campaigns.keys().map(String::as_str).collect();
    assert_eq!(known, names.iter().map(String::as_str).chain(["hello"]).collect());
    shop.close().await;
}

pub async fn a_proposal_is_published_once(size: Size) {
    let shop = shop(&size).await;
    let app = shop.app(at(NOON)).await;
    shop.campaign("thanks", "trigger: { kind: post_purchase }");
    let (number, ..) = app.propose("thanks").await.unwrap();
    let published = join_all((0..4).map(async |_| app.publish(number).await.map(|made| made.number))).await;
    let went: Vec<&i64> = published.iter().flatten().collect();
    assert_eq!(went, [&2], "{published:?}");
    for error in published.iter().filter_map(|result| result.as_ref().err()) {
        assert!(error.to_string().contains("was published"), "{error}");
    }
    let mut tx = shop.store().await.read().await.unwrap();
    assert_eq!(versions::list(&mut tx, 10).await.unwrap().len(), 2);
    assert_eq!(versions::proposal(&mut tx, number).await.unwrap().unwrap().published, Some(2));
    tx.commit().await.unwrap();
    shop.close().await;
}
