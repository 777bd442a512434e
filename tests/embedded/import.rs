//! Files that come in: what is kept, what is refused and why, and what a second time changes.

use rekindle::domain::Instant;
use rekindle::domain::birth_date::BirthDate;
use rekindle::domain::member::Member;
use rekindle::import::{ImportError, Imported, Kind};
use rekindle::store::{Store, configuration, members};

use crate::support::shop::{Shop, Size, at};

const TEHRAN: &str = "{ name: Shop, timezone: Asia/Tehran, calendar: persian, locale: fa, currency: USD, \
    base_url: \"https://shop.example\", phone_region: IR }";

fn shop() -> Shop {
    Shop::new(&Size::default(), TEHRAN)
}

/// `line,reason` of each rejected row.
fn rejects(shop: &Shop) -> Vec<(u64, String)> {
    let path = shop.folder.0.join("rejects.csv");
    let Ok(mut reader) = csv::Reader::from_path(path) else { return Vec::new() };
    let rows = reader.records().map(|row| row.unwrap());
    rows.map(|row| (row[0].parse().unwrap(), row[1].to_owned())).collect()
}

async fn member(shop: &Shop, id: &str) -> Option<Member> {
    let mut tx = shop.store().await.read().await.unwrap();
    members::by_external_id(&mut tx, id).await.unwrap()
}

async fn members_count(shop: &Shop) -> i64 {
    let mut tx = shop.store().await.read().await.unwrap();
    members::count(&mut tx).await.unwrap()
}

/// An order: member, instant, minor units, currency, status.
type Order = (String, i64, i64, String, String);

async fn order(shop: &Shop, id: &str) -> Option<Order> {
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    let sql = "SELECT m.external_id, p.purchased_at, p.amount, p.currency, p.status \
        FROM purchases p JOIN members m ON m.id = p.member_id WHERE p.order_id = $1";
    sqlx::query_as(sql).bind(id).fetch_optional(pool).await.unwrap()
}

/// The number of the last change, and that of one member.
async fn changes(shop: &Shop, id: &str) -> (i64, i64) {
    let mut tx = shop.store().await.read().await.unwrap();
    let last = configuration::change(&mut tx).await.unwrap();
    drop(tx);
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    let sql = "SELECT changed FROM members WHERE external_id = $1";
    (last, sqlx::query_scalar(sql).bind(id).fetch_one(pool).await.unwrap())
}

fn counts(done: Imported) -> (u64, u64, u64, u64, u64) {
    (done.rows, done.inserted, done.updated, done.unchanged, done.rejected)
}

/// Imports a file of which each row but the named ones is good; gives the reasons by line.
async fn refused(shop: &Shop, kind: Kind<'_>, text: impl AsRef<[u8]>) -> Vec<(u64, String)> {
    let done = shop.try_import(kind, text).await.unwrap();
    let rejects = rejects(shop);
    assert_eq!(done.rejected, rejects.len() as u64);
    rejects
}

/// Each reason holds its words, in the order of lines.
fn assert_reasons(found: &[(u64, String)], wanted: &[(u64, &str)]) {
    let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, wanted.iter().map(|(line, _)| *line).collect::<Vec<_>>(), "{found:?}");
    for ((line, reason), (_, words)) in found.iter().zip(wanted) {
        assert!(reason.contains(words), "line {line}: `{reason}` does not say `{words}`");
    }
}

#[tokio::test]
async fn bad_rows_of_members_are_rejected_with_line_and_reason_and_good_ones_kept() {
    let shop = shop();
    let mut file = b"external_id,email,phone,birth_date,joined_at,points,first_name\n".to_vec();
    file.extend_from_slice(
        "good,good@example.com,09121234567,1990-05-21,2024-01-01,5,Sara\n\
         ,no-id@example.com,,,,,\n\
         date,,,1990-02-30,,,\n\
         month,,,--13-01,,,\n\
         persian,,,1403/12/31,,,\n\
         joined,,,,yesterday,,\n\
         phone,,12,,,,\n\
         mail,not-an-address,,,,,\n\
         points,,,,,many,\n\
         few,a@example.com\n\
         many,a@example.com,,,,,,,\n"
            .as_bytes(),
    );
    file.extend_from_slice(b"utf8,,,,,,S\xffra\n");
    file.extend_from_slice(b"zero,,,,,,S\0ra\n");
    file.extend_from_slice("quoted,,,,,,\"two\nlines\"\nlast,,,,,x,\nkept,,,,,,Last\n".as_bytes());
    let found = refused(&shop, Kind::Members, file).await;
    assert_reasons(
        &found,
        &[
            (3, "external_id is empty"),
            (4, "birth_date: `1990-02-30`"),
            (5, "birth_date: `--13-01`"),
            (6, "birth_date: `1403-12-31` does not exist in the persian calendar"),
            (7, "joined_at: `yesterday` is not a time"),
            (8, "phone: `12` is not a"),
            (9, "email: `not-an-address` is not an e-mail address: it has no @"),
            (10, "points: `many` is not a whole number"),
            (11, "the row has 2 columns, the header 7"),
            (12, "the row has 9 columns, the header 7"),
            (13, "first_name is not UTF-8"),
            (14, "first_name holds a zero byte"),
            (17, "points: `x`"),
        ],
    );
    assert_eq!(members_count(&shop).await, 3);
    for id in ["good", "quoted", "kept"] {
        assert!(member(&shop, id).await.is_some(), "{id} was good");
    }
    let first = &rejects(&shop)[0];
    assert_eq!(first.0, 3);
    let text = std::fs::read_to_string(shop.folder.0.join("rejects.csv")).unwrap();
    assert!(text.contains("no-id@example.com"), "the rejected row is there to be mended");
    shop.close().await;
}

#[tokio::test]
async fn bad_rows_of_purchases_are_rejected_with_line_and_reason_and_good_ones_kept() {
    let shop = shop();
    shop.import(Kind::Members, "external_id\nm1\n").await;
    let found = refused(
        &shop,
        Kind::Purchases,
        "order_id,member_external_id,purchased_at,amount,currency,status\n\
         o1,m1,2024-01-01T10:00:00Z,29.33,,\n\
         ,m1,2024-01-01T10:00:00Z,1,,\n\
         o2,,2024-01-01T10:00:00Z,1,,\n\
         o3,m1,,1,,\n\
         o4,m1,2024-13-01T10:00:00Z,1,,\n\
         o5,m1,2024-01-01T10:00:00Z,,,\n\
         o6,m1,2024-01-01T10:00:00Z,-1,,\n\
         o7,m1,2024-01-01T10:00:00Z,1.234,,\n\
         o8,m1,2024-01-01T10:00:00Z,1,dollars,\n\
         o9,m1,2024-01-01T10:00:00Z,1,,lost\n\
         o10,nobody,2024-01-01T10:00:00Z,1,,\n\
         o11,m1,2024-01-01T10:00:00Z,1,EUR,refunded\n",
    )
    .await;
    let mut found = found;
    found.sort();
    assert_reasons(
        &found,
        &[
            (3, "order_id is empty"),
            (4, "member_external_id is empty"),
            (5, "purchased_at is empty"),
            (6, "purchased_at: `2024-13-01T10:00:00Z` is not a time"),
            (7, "amount is empty"),
            (8, "amount: `-1` is negative"),
            (9, "amount: `1.234` means 1234 to some"),
            (10, "currency: `dollars`"),
            (11, "status: `lost`"),
            (12, "there is no member `nobody`"),
        ],
    );
    let when = at("2024-01-01T10:00:00Z").timestamp_millis();
    let row = |amount: i64, currency: &str, status: &str| {
        Some(("m1".to_owned(), when, amount, currency.to_owned(), status.to_owned()))
    };
    assert_eq!(order(&shop, "o1").await, row(2933, "USD", "paid"));
    assert_eq!(order(&shop, "o11").await, row(100, "EUR", "refunded"));
    assert_eq!(order(&shop, "o10").await, None);
    shop.close().await;
}

#[tokio::test]
async fn bad_rows_of_suppressions_are_rejected_and_good_ones_kept() {
    let shop = shop();
    let file =
        "address,purpose,reason\nSara@Example.com,,asked\n09121234567,marketing,\nnobody,,\na@example.com,never,\n";
    let done = shop.try_import(Kind::Suppressions, file).await.unwrap();
    assert_eq!(counts(done), (4, 2, 0, 0, 2));
    assert_reasons(&rejects(&shop), &[(4, "address: `nobody`"), (5, "purpose: `never`")]);
    let again = shop.try_import(Kind::Suppressions, file).await.unwrap();
    assert_eq!(counts(again), (4, 0, 0, 2, 2));
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    let sql = "SELECT address || ' ' || purpose || ' ' || reason FROM suppressions ORDER BY address, purpose";
    let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(pool).await.unwrap();
    assert_eq!(
        rows,
        ["+989121234567 marketing imported", "sara@example.com marketing asked", "sara@example.com service asked"]
    );
    shop.close().await;
}

#[tokio::test]
async fn an_absent_column_leaves_the_value_and_an_empty_cell_clears_it() {
    let shop = shop();
    shop.import(
        Kind::Members,
        "external_id,email,first_name,tier,points,birth_date,joined_at,email_consent,attributes.size,attributes.color\n\
         m1,a@example.com,Sara,gold,10,1990-05-21,2024-01-01,true,XL,red\n",
    )
    .await;
    shop.import(Kind::Members, "external_id,tier,birth_date,email_consent,attributes.size\nm1,,,,\n").await;
    let left = member(&shop, "m1").await.unwrap();
    assert_eq!((left.email.as_deref(), left.first_name.as_deref()), (Some("a@example.com"), Some("Sara")));
    assert_eq!((left.points, left.joined_at), (Some(10), Some(at("2023-12-31T20:30:00Z"))));
    assert_eq!((left.tier, left.birth_date, left.email_consent), (None, None, false));
    assert_eq!(left.attributes.into_iter().collect::<Vec<_>>(), [("color".to_owned(), "red".to_owned())]);
    shop.close().await;
}

#[tokio::test]
async fn an_absent_column_of_an_order_leaves_the_value() {
    let shop = shop();
    shop.import(Kind::Members, "external_id\nm1\n").await;
    let head = "order_id,member_external_id,purchased_at,amount";
    let when = "2024-01-01T10:00:00Z";
    shop.import(Kind::Purchases, format!("{head},currency,status\no1,m1,{when},5000,JPY,refunded\n")).await;
    let done = shop.import(Kind::Purchases, format!("{head}\no1,m1,{when},5000\n")).await;
    let stored = order(&shop, "o1").await.unwrap();
    assert_eq!((stored.2, stored.3.as_str(), stored.4.as_str()), (5000, "JPY", "refunded"));
    assert_eq!(counts(done), (1, 0, 0, 1, 0));
    // A new order without a currency is in the brand's, and paid.
    shop.import(Kind::Purchases, format!("{head}\no2,m1,{when},5000\n")).await;
    let stored = order(&shop, "o2").await.unwrap();
    assert_eq!((stored.2, stored.3.as_str(), stored.4.as_str()), (500_000, "USD", "paid"));
    shop.close().await;
}

#[tokio::test]
async fn importing_a_file_twice_changes_nothing() {
    let shop = shop();
    let members = "external_id,email,birth_date,timezone,points,attributes.size\n\
        m1,a@example.com,1369/02/31,Asia/Tehran,5,XL\nm2,,--05-21,,,\n";
    let purchases = "order_id,member_external_id,purchased_at,amount,currency,status\n\
        o1,m1,2024-01-01T10:00:00Z,1.50,EUR,paid\no2,m2,2024-01-02T10:00:00Z,2,,\n";
    assert_eq!(counts(shop.import(Kind::Members, members).await), (2, 2, 0, 0, 0));
    assert_eq!(counts(shop.import(Kind::Purchases, purchases).await), (2, 2, 0, 0, 0));
    let before = (member(&shop, "m1").await, order(&shop, "o1").await, changes(&shop, "m1").await.1);
    assert_eq!(counts(shop.import(Kind::Members, members).await), (2, 0, 0, 2, 0));
    assert_eq!(counts(shop.import(Kind::Purchases, purchases).await), (2, 0, 0, 2, 0));
    let after = (member(&shop, "m1").await, order(&shop, "o1").await, changes(&shop, "m1").await.1);
    assert_eq!(after, before);
    shop.close().await;
}

#[tokio::test]
async fn persian_and_arabic_digits_dates_and_letters_are_understood() {
    let shop = shop();
    shop.import(
        Kind::Members,
        "external_id,phone,first_name,last_name,birth_date,joined_at,points\n\
         ۱۲,۰۹۱۲۱۲۳۴۵۶۷,علي,كريمي,۱۳۶۹/۰۲/۳۱,۱۴۰۳/۰۱/۰۱,۱٬۲۳۴\n\
         ٣,٠٩١٢١٢٣٤٥٦٨,فاطمة علي,,--٠٢-٣١,1403-01-01 10:20,٥\n",
    )
    .await;
    let ali = member(&shop, "12").await.unwrap();
    assert_eq!((ali.first_name.as_deref(), ali.last_name.as_deref()), (Some("علی"), Some("کریمی")));
    assert_eq!((ali.phone.as_deref(), ali.points), (Some("+989121234567"), Some(1234)));
    assert_eq!(ali.birth_date, Some(BirthDate::parse("1990-05-21").unwrap()));
    assert_eq!(ali.joined_at, Some(at("2024-03-19T20:30:00Z")));
    let fatima = member(&shop, "3").await.unwrap();
    assert_eq!(fatima.first_name.as_deref(), Some("فاطمة علي"), "an Arabic name keeps its letters");
    assert_eq!(fatima.birth_date.unwrap().to_string(), "--02-31");
    assert_eq!(fatima.joined_at, Some(at("2024-03-20T06:50:00Z")));
    shop.import(Kind::Purchases, "order_id,member_external_id,purchased_at,amount\nس-۱,۱۲,۱۴۰۳/۰۱/۰۱ ۱۰:۲۰,۲۹٫۳۳\n")
        .await;
    let bought = order(&shop, "س-1").await.unwrap();
    assert_eq!((bought.0.as_str(), bought.1, bought.2), ("12", at("2024-03-20T06:50:00Z").timestamp_millis(), 2933));
    shop.close().await;
}

#[tokio::test]
async fn an_instant_with_a_persian_year_is_persian_whatever_follows_it() {
    let shop = shop();
    let ten: Instant = at("2024-03-20T06:50:00Z");
    for cell in [
        "1403-01-01T10:20",
        "1403/01/01 10:20",
        "1403-01-01 10:20:00",
        "1403-01-01T10:20:00+03:30",
        "1403-01-01T06:50:00Z",
        "1403/01/01 06:50:00Z",
        "2024-03-20 10:20:00",
        "2024/03/20 10:20",
    ] {
        shop.import(Kind::Members, format!("external_id,joined_at\nm1,{cell}\n")).await;
        assert_eq!(member(&shop, "m1").await.unwrap().joined_at, Some(ten), "{cell}");
        shop.import(Kind::Members, "external_id,joined_at\nm1,\n").await;
    }
    shop.close().await;
}

#[tokio::test]
async fn of_two_rows_with_one_id_the_later_wins() {
    let shop = shop();
    shop.import(Kind::Members, "external_id,first_name\nm1,Sara\nm2,Nima\nm1,Mina\nm۱,Roya\n").await;
    assert_eq!(member(&shop, "m1").await.unwrap().first_name.as_deref(), Some("Roya"));
    assert_eq!(members_count(&shop).await, 2);
    shop.import(
        Kind::Purchases,
        "order_id,member_external_id,purchased_at,amount,status\n\
         o1,m1,2024-01-01T10:00:00Z,1,paid\no1,m2,2024-01-02T10:00:00Z,2,cancelled\n",
    )
    .await;
    let stored = order(&shop, "o1").await.unwrap();
    assert_eq!((stored.0.as_str(), stored.2, stored.4.as_str()), ("m2", 200, "cancelled"));
    shop.close().await;
}

#[tokio::test]
async fn a_file_longer_than_a_batch_is_whole_and_keeps_its_line_numbers() {
    let shop = shop();
    let mut file = "external_id,points\n".to_owned();
    for n in 0..4_500 {
        file += &if n % 1_500 == 7 { format!("m{n},x\n") } else { format!("m{n},{n}\n") };
    }
    let found = refused(&shop, Kind::Members, file).await;
    assert_reasons(&found, &[(9, "points"), (1_509, "points"), (3_009, "points")]);
    assert_eq!(members_count(&shop).await, 4_497);
    shop.close().await;
}

#[tokio::test]
async fn a_byte_order_mark_windows_line_ends_and_blank_lines_are_no_harm() {
    let shop = shop();
    shop.import(Kind::Members, "\u{feff}external_id,first_name\r\nm1,Sara\r\n\r\n   \r\nm2,Nima").await;
    assert_eq!(members_count(&shop).await, 2);
    assert_eq!(member(&shop, "m1").await.unwrap().first_name.as_deref(), Some("Sara"));
    shop.close().await;
}

#[tokio::test]
async fn a_header_that_does_not_fit_is_refused_as_a_whole() {
    let shop = shop();
    let header = async |kind, text: &[u8]| match shop.try_import(kind, text).await {
        Err(ImportError::Header { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    for (kind, text, words) in [
        (Kind::Members, &b""[..], "the file is empty"),
        (Kind::Members, b"\xef\xbb\xbf", "the file is empty"),
        (Kind::Members, b"email\na@example.com\n", "the column `external_id` is missing"),
        (Kind::Members, b"external_id,emial\n", "unknown column `emial`; did you mean `email`?"),
        (Kind::Members, b"external_id,email,Email\n", "the column `email` stands here twice"),
        (Kind::Members, b"external_id,attributes.\n", "unknown column `attributes.`"),
        (Kind::Members, b"external_id,\n", "unknown column ``"),
        (Kind::Members, b"external_id,n\xffme\n", "the header is not UTF-8"),
        (Kind::Purchases, b"order_id,member_external_id,purchased_at\n", "the column `amount` is missing"),
        (Kind::Purchases, b"order_id,member_id,purchased_at,amount\n", "unknown column `member_id`"),
        (Kind::Suppressions, b"adress\n", "did you mean `address`?"),
    ] {
        let reason = header(kind, text).await;
        assert!(reason.contains(words), "{reason} does not say {words}");
    }
    assert_eq!(members_count(&shop).await, 0);
    shop.close().await;
}

#[tokio::test]
async fn a_file_that_is_missing_is_named() {
    let shop = shop();
    let settings = shop.settings();
    let file = shop.folder.0.join("nowhere.csv");
    let import = rekindle::import::Import {
        store: shop.store().await,
        brand: &settings.brand,
        clock: &rekindle::clock::Clock::simulated(at("2024-01-01T00:00:00Z")),
        file: &file,
        rejects: shop.folder.0.join("rejects.csv"),
        stop: &tokio_util::sync::CancellationToken::new(),
    };
    let error = import.run(Kind::Members, &mut |_| {}).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.contains("nowhere.csv"), "{error}");
    shop.close().await;
}

#[tokio::test]
async fn a_late_order_marks_its_member_as_changed_and_no_other() {
    let shop = shop();
    shop.import(Kind::Members, "external_id\nm1\nm2\nm3\n").await;
    let head = "order_id,member_external_id,purchased_at,amount,status\n";
    let before = changes(&shop, "m2").await;
    shop.import(Kind::Purchases, format!("{head}o1,m1,1999-01-01T10:00:00Z,1,paid\n")).await;
    let (last, of_m1) = changes(&shop, "m1").await;
    assert!(last > before.0);
    assert_eq!((of_m1, changes(&shop, "m2").await.1), (last, before.1));
    // An order that is cancelled, and one that moves to another member, change those it concerns.
    shop.import(Kind::Purchases, format!("{head}o1,m3,1999-01-01T10:00:00Z,1,cancelled\n")).await;
    let (last, of_m1) = changes(&shop, "m1").await;
    assert_eq!((of_m1, changes(&shop, "m3").await.1), (last, last));
    assert_eq!(changes(&shop, "m2").await.1, before.1);
    shop.close().await;
}
