//! What `check` asks of a campaign that gives something, and what the import of codes refuses.

use std::fs;

use rekindle::catalog::{Catalog, Files};
use rekindle::import::Kind;

use crate::support::shop::{PLAIN, Shop, Size};

/// What is wrong with a campaign whose SMS says this.
fn problems(sms: &str, keys: &str) -> String {
    let shop = Shop::new(&Size::default(), PLAIN);
    shop.write("templates/gift/sms.txt", sms);
    shop.write("templates/giving/sms.txt", "{{#if gift.code}}{{gift.code}}{{/if}}");
    let content = if keys.contains("content: giving\n") { "" } else { "content: gift\n" };
    shop.campaign("letter", &format!("trigger: {{ kind: welcome }}\nchannels: [sms]\n{content}{keys}"));
    let settings = shop.settings();
    match Catalog::compile(&Files::read(&settings).unwrap(), &settings) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string().replace(&format!("{}/", shop.folder.0.display()), ""),
    }
}

#[test]
fn a_template_says_the_gift_that_its_step_brings() {
    let check = |sms: &str, keys: &str, expected: &str| {
        let found = problems(sms, keys);
        assert!(if expected.is_empty() { found.is_empty() } else { found.contains(expected) }, "{sms} {keys}: {found}");
    };
    let sure = "gift: { coupon: { pool: may, value: 20% } }";
    let perhaps = "gift: { coupon: { pool: may, value: 20% }, when_empty: send_without }";
    check("{{gift.code}}", sure, "");
    check("{{gift.code}} until {{date gift.valid_until}}", &sure.replace("20%", "20%, valid_days: 3"), "");
    check("Hello", sure, "campaigns/letter.yaml:6:10: content `gift` does not say {{gift.code}} by sms in `en`");
    check("{{gift.code}}", "", "templates/gift/sms.txt:1:1: a message can go out without `gift.code`");
    check("{{gift.code}}", perhaps, "write it between {{#if gift.code}} and {{/if}}");
    check("{{#if gift}}{{gift.code}}{{/if}}", perhaps, "");
    check("{{#if gift}}{{gift.code}}{{/if}}", "", "");
    check("{{gift.code}} {{gift.points}}", sure, "a message can go out without `gift.points`");
    check("{{gift.cood}}", sure, "did you mean `gift.code`");
    check("{{date gift.valid_until}} {{gift.code}}", sure, "a message can go out without `gift.valid_until`");
    check("{{number gift.points}}", "gift: { points: 500 }", "");
    // A later step says what an earlier one brought, if that went out.
    let later = "steps: [{ id: later, after: 1d, content: gift }]";
    check("{{gift.code}}", &format!("{sure}\n{later}"), "write it between");
    check("{{#if gift}}{{gift.code}}{{/if}}", &format!("{sure}\n{later}"), "");
    // Where the one before it may bring nothing, the one before that is said.
    let twice = "gift: { points: 5 }\nsteps: [{ id: two, after: 1d, content: giving, gift: { coupon: { pool: may, value: 5% }, \
        when_empty: send_without } }, { id: three, after: 1d, content: gift }]";
    check(
        "{{#if gift}}{{gift.code}}{{/if}}",
        &twice.replace("gift: { points: 5 }", "content: giving\ngift: { points: 5 }"),
        "write it between {{#if gift.code}}",
    );
    check(
        "{{#if gift.code}}{{gift.code}}{{/if}}",
        &twice.replace("gift: { points: 5 }", "content: giving\ngift: { points: 5 }"),
        "",
    );
}

#[tokio::test]
async fn a_code_is_in_one_pool_once() {
    let shop = Shop::new(&Size::default(), PLAIN);
    let first =
        shop.try_import(Kind::Coupons { pool: Some("may") }, "code,pool\nA-1,\nA-2,june\nA B,\n,\n").await.unwrap();
    assert_eq!((first.inserted, first.rejected), (2, 2));
    let again = shop.try_import(Kind::Coupons { pool: Some("may") }, "code\nA-1\nA-2\nA-3\n").await.unwrap();
    assert_eq!((again.inserted, again.unchanged, again.rejected), (1, 1, 1));
    let rejects = fs::read_to_string(shop.folder.0.join("rejects.csv")).unwrap();
    assert!(rejects.contains("3,the code is in the pool `june` already,A-2"), "{rejects}");
    let nowhere = shop.try_import(Kind::Coupons { pool: None }, "code\nA-9\n").await.unwrap();
    assert_eq!(nowhere.rejected, 1);
    let rejects = fs::read_to_string(shop.folder.0.join("rejects.csv")).unwrap();
    assert!(rejects.contains("2,\"no pool is named; add the column `pool`, or say --pool NAME\",A-9"), "{rejects}");
    shop.close().await;
}
