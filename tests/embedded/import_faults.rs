//! Files that are read without an error and say something else than whoever wrote them meant: quotes that swallow
//! rows, keys that are none, dates that cannot be, numbers that mean two things, marks that nobody sees. Each row is
//! taken as it was meant, or set aside with its line and the reason.

use rekindle::domain::member::Member;
use rekindle::import::{Imported, Kind};
use rekindle::store::{Store, members};

use crate::support::shop::{PLAIN, Shop, Size};

const TODAY: &str = "2026-11-27T12:00:00Z";

fn shop() -> Shop {
    Shop::new(
        &Size::default(),
        "{ name: Shop, timezone: Asia/Tehran, locale: fa, currency: EUR, base_url: \"https://shop.example\" }",
    )
}

fn fixture(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/faults").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// What an import set aside: line, reason and row.
fn rejects(shop: &Shop) -> Vec<(u64, String, String)> {
    let Ok(mut reader) = csv::Reader::from_path(shop.folder.0.join("rejects.csv")) else { return Vec::new() };
    let rows = reader.records().map(|row| row.unwrap());
    rows.map(|row| (row[0].parse().unwrap(), row[1].to_owned(), row[2].to_owned())).collect()
}

/// Imports today; gives the lines that were set aside, each with a word of its reason checked.
async fn import(shop: &Shop, kind: Kind<'_>, text: impl AsRef<[u8]>, aside: &[(u64, &str)]) -> Imported {
    let done = shop.import_at(kind, text, TODAY).await.unwrap();
    let found = rejects(shop);
    let lines: Vec<u64> = found.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, aside.iter().map(|(line, _)| *line).collect::<Vec<_>>(), "{found:?}");
    for ((line, reason, _), (_, word)) in found.iter().zip(aside) {
        assert!(reason.contains(word), "line {line}: `{reason}` does not say `{word}`");
    }
    assert_eq!(done.rejected, found.len() as u64);
    assert_eq!(done.rows, done.inserted + done.updated + done.unchanged + done.rejected);
    done
}

async fn member(shop: &Shop, id: &str) -> Option<Member> {
    let mut tx = shop.store().await.read().await.unwrap();
    members::by_external_id(&mut tx, id).await.unwrap()
}

async fn texts(shop: &Shop, sql: &'static str) -> Vec<String> {
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

async fn closed(shop: &Shop) -> Vec<String> {
    texts(shop, "SELECT DISTINCT address FROM suppressions ORDER BY address").await
}

#[tokio::test]
async fn a_quote_that_never_closes_costs_its_line_and_no_opt_out_behind_it() {
    let shop = shop();
    let done =
        import(&shop, Kind::Suppressions, fixture("suppressions-quote.csv"), &[(2, "a quote opens in this line")])
            .await;
    assert_eq!((done.rows, done.inserted), (3, 2));
    assert_eq!(closed(&shop).await, ["three@example.com", "two@example.com"]);
    assert_eq!(rejects(&shop)[0].2, "one@example.com,marketing,\"asked by phone");
    shop.close().await;
}

#[tokio::test]
async fn rows_within_a_quoted_cell_are_all_set_aside() {
    let head = "address,purpose,reason\n";
    // It closes as a cell should, three rows later; in one column; in the first one; over a blank line.
    for (file, lines) in [
        (
            format!(
                "{head}a@example.com,marketing,\"asked\nb@example.com,marketing,by letter\nc@example.com,,bounced\"\n"
            ),
            vec![2, 3, 4],
        ),
        (format!("{head}\"a@example.com,marketing,asked\nb@example.com\",marketing,asked\n"), vec![2, 3]),
        (
            format!("{head}a@example.com,marketing,\"asked\r\n\r\nb@example.com,,\"\"\r\nc@example.com,,x\"\r\n"),
            vec![2, 4, 5],
        ),
        ("address\n\"a@example.com\nb@example.com\"\n".to_owned(), vec![2, 3]),
    ] {
        let shop = shop();
        let last = format!("{file}last@example.com{}", if file.starts_with(head) { ",,\n" } else { "\n" });
        let done = shop.import_at(Kind::Suppressions, last, TODAY).await.unwrap();
        let found = rejects(&shop);
        assert_eq!(found.iter().map(|row| row.0).collect::<Vec<_>>(), lines, "{file}: {found:?}");
        assert_eq!((done.rows, done.inserted), (lines.len() as u64 + 1, 1), "{file}");
        assert_eq!(closed(&shop).await, ["last@example.com"], "{file}");
        shop.close().await;
    }
}

#[tokio::test]
async fn quotes_that_open_close_or_stand_in_odd_places_cost_no_other_row() {
    let shop = shop();
    let file = "external_id,phone,first_name,sms_consent\n\
        m1,09121110001,\"Eva,no\n\
        m2,09121110002,Kai \"K\" Lind,yes\n\
        m3,09121110003,\"Ann\"e,yes\n\
        m4,09121110004, \"Ida\" ,yes\n\
        m5,09121110005,5\" Una,yes\n\
        \"m6,09121110006,Ole,yes\n\
        m7,09121110007,\"say \"\"hi\"\"\",yes\n\
        m8,09121110008,\"Per\n";
    let aside = [
        (2, "opens in this line"),
        (4, "behind a closing quote"),
        (7, "opens in this line"),
        (9, "before the file ends"),
    ];
    let done = import(&shop, Kind::Members, file, &aside).await;
    assert_eq!((done.rows, done.inserted), (8, 4));
    let names =
        texts(&shop, "SELECT external_id || ' ' || phone || ' ' || first_name FROM members ORDER BY external_id").await;
    assert_eq!(
        names,
        [
            "m2 +989121110002 Kai \"K\" Lind",
            "m4 +989121110004 Ida",
            "m5 +989121110005 5\" Una",
            "m7 +989121110007 say \"hi\""
        ]
    );
    shop.close().await;
}

#[tokio::test]
async fn a_line_break_in_any_text_is_a_space_and_lines_end_in_every_way() {
    let shop = shop();
    let done = import(&shop, Kind::Members, fixture("members-line-break.csv"), &[]).await;
    assert_eq!((done.rows, done.inserted), (2, 2));
    assert_eq!(member(&shop, "b1").await.unwrap().first_name.as_deref(), Some("Eva Lind"));
    let file = "external_id,tier,last_name,attributes.note\r\
        c1,\"go\r\nld\",\"de \u{2028} la\",\"Gift for Eva\n\n- no nuts\n- \"\"red\"\"\"\r\n\
        c2,,Lind\u{b}Holm,\n\r\n";
    import(&shop, Kind::Members, file, &[]).await;
    let c1 = member(&shop, "c1").await.unwrap();
    assert_eq!((c1.tier.as_deref(), c1.last_name.as_deref()), (Some("go ld"), Some("de la")));
    assert_eq!(c1.attributes["note"], "Gift for Eva - no nuts - \"red\"");
    assert_eq!(member(&shop, "c2").await.unwrap().last_name.as_deref(), Some("Lind Holm"));
    let orders = "order_id,member_external_id,purchased_at,amount,items,coupon_code\n\
        o1,c1,2026-01-05T10:00:00Z,5,\"TEA/A-1 x2;\nB-2\",\n\
        o2,c1,2026-01-05T10:00:00Z,5,,\"X\n1\"\n";
    import(&shop, Kind::Purchases, orders, &[(4, "coupon_code: a code holds no spaces")]).await;
    assert_eq!(texts(&shop, "SELECT items FROM purchases").await, ["TEA/A-1 x2; B-2"]);
    import(&shop, Kind::Suppressions, "address,reason\na@example.com,\"by\nphone\"\n", &[]).await;
    assert_eq!(texts(&shop, "SELECT DISTINCT reason FROM suppressions").await, ["by phone"]);
    shop.close().await;
}

#[tokio::test]
async fn what_a_spreadsheet_or_a_database_made_of_an_id_is_no_id() {
    let shop = shop();
    let rounded = "external_id: `7.01235E+12` is a number that a spreadsheet rounded";
    let aside = [(2, rounded), (3, rounded), (4, rounded), (5, "external_id: `#N/A` is a spreadsheet's error")];
    let done = import(&shop, Kind::Members, fixture("members-ids.csv"), &aside).await;
    assert_eq!((done.rows, done.rejected), (4, 4));
    import(
        &shop,
        Kind::Members,
        "external_id\nm1\nNULL\n\\N\nnan\n1001.0\n=B2\n-\nNull\n#1001\n",
        &[
            (3, "`NULL` is no id"),
            (4, "`\\N` is no id"),
            (5, "`nan` is no id"),
            (6, "write it as 1001"),
            (7, "a spreadsheet's formula"),
            (8, "`-` is no id"),
        ],
    )
    .await;
    assert_eq!(texts(&shop, "SELECT external_id FROM members ORDER BY external_id").await, ["#1001", "Null", "m1"]);
    let head = "order_id,member_external_id,purchased_at,amount,coupon_code\n";
    let orders = format!(
        "{head}1E+05,m1,2026-01-05,5,\no1,#REF!,2026-01-05,5,\no2,m1,2026-01-05,5,9.1E+09\no3,m1,2026-01-05,5,NULL\nNULL,m1,2026-01-05,5,\no4,#WERT!,2026-01-05,5,\n"
    );
    let aside = [
        (2, "order_id: "),
        (3, "member_external_id: "),
        (4, "coupon_code: "),
        (6, "order_id: "),
        (7, "member_external_id: "),
    ];
    import(&shop, Kind::Purchases, orders, &aside).await;
    assert_eq!(texts(&shop, "SELECT order_id FROM purchases WHERE coupon_code IS NULL").await, ["o3"]);
    let aside = [(2, "code: "), (3, "code: "), (4, "code: "), (6, "code: ")];
    import(&shop, Kind::Coupons { pool: Some("may") }, "code\n1.2E+15\n#VALUE!\nNULL\nA-1\n=A1\n", &aside).await;
    import(
        &shop,
        Kind::Suppressions,
        "address\n9.12E+09\n#N/A\nNULL\n",
        &[(2, "address: "), (3, "address: "), (4, "address: ")],
    )
    .await;
    shop.close().await;
}

#[tokio::test]
async fn a_cell_that_only_says_that_there_is_nothing_is_empty_and_a_spoilt_one_sets_its_row_aside() {
    let shop = shop();
    let file = "external_id,email,phone,first_name,tier,birth_date,points,email_consent,attributes.size\n\
        m1,NULL,\\N,null,None,NaN,undefined,NULL,(null)\n\
        m2,,,Null,-,,,yes,XL\n\
        m3,,,#N/A,,,,,\n\
        m4,,9.12E+09,,,,,,\n\
        m5,,,Eva,,,,,#NAME?\n";
    let aside = [(4, "first_name: `#N/A`"), (5, "phone: `9.12E+09`"), (6, "attributes.size: `#NAME?`")];
    import(&shop, Kind::Members, file, &aside).await;
    let m1 = member(&shop, "m1").await.unwrap();
    assert_eq!((m1.email, m1.phone, m1.first_name, m1.tier, m1.points), (None, None, None, None, None));
    assert!(m1.attributes.is_empty() && m1.birth_date.is_none() && !m1.email_consent);
    let m2 = member(&shop, "m2").await.unwrap();
    assert_eq!((m2.first_name.as_deref(), m2.tier, m2.email_consent), (Some("Null"), None, true), "a name is a name");
    shop.close().await;
}

#[tokio::test]
async fn a_second_row_with_an_id_of_the_file_is_said_and_counts() {
    let shop = shop();
    let mut file = "external_id,first_name\n".to_owned();
    for n in 0..4_500 {
        file += &format!("m{n},a\n");
    }
    // Of the last batch, of the first one, and in other digits.
    file += "m4499,b\nm7,b\nm۷,c\n";
    let done = import(&shop, Kind::Members, &file, &[]).await;
    assert_eq!((done.repeated, done.inserted, done.updated), (3, 4_500, 3));
    assert_eq!(member(&shop, "m7").await.unwrap().first_name.as_deref(), Some("c"));
    let done = import(
        &shop,
        Kind::Suppressions,
        "address,purpose\na@example.com,marketing\nA@example.com,service\na@example.com,service\n",
        &[],
    )
    .await;
    assert_eq!(done.repeated, 1, "two purposes of one address are two things");
    shop.close().await;
}

#[tokio::test]
async fn languages_and_zones_are_stored_in_the_form_in_which_they_are_looked_for() {
    let shop = shop();
    import(&shop, Kind::Members, fixture("members-locale.csv"), &[]).await;
    assert_eq!(texts(&shop, "SELECT locale FROM members ORDER BY external_id").await, ["fa", "fa-IR", "en-GB"]);
    let file = "external_id,timezone,calendar,locale\nz1,asia/tehran,Persian,per\nz2,america/new york,GREGORIAN,zh_hant_tw\nz3,,,Farsi\n";
    import(&shop, Kind::Members, file, &[(4, "locale: `Farsi` is not a language")]).await;
    let found = texts(&shop, "SELECT timezone || ' ' || calendar || ' ' || locale FROM members WHERE external_id LIKE 'z%' ORDER BY external_id").await;
    assert_eq!(found, ["Asia/Tehran persian fa", "America/New_York gregorian zh-Hant-TW"]);
    let head = "order_id,member_external_id,purchased_at,amount,currency\n";
    import(
        &shop,
        Kind::Purchases,
        format!("{head}1,z1,2026-01-05,5,eur\n2,z1,2026-01-05,5,IRT\n3,z1,2026-01-05,5,XYZ\n"),
        &[(3, "write amounts in rial"), (4, "currency: `XYZ` is not a currency")],
    )
    .await;
    shop.close().await;
}

#[tokio::test]
async fn names_of_attributes_that_would_be_paths_are_refused_and_case_makes_no_difference() {
    let shop = shop();
    for name in ["$x", "a.b", "a\"\"b", "a'b", "[0]", "#", "0", "a b"] {
        let file = format!("external_id,\"attributes.{name}\"\nm1,v\n");
        let refused = shop.import_at(Kind::Members, file, TODAY).await.unwrap_err().to_string();
        assert!(refused.contains("import.csv:1: the column `attributes."), "{name}: {refused}");
    }
    import(&shop, Kind::Members, "external_id,attributes.Shoe_Size,attributes.شهر\nm1,42,تهران\n", &[]).await;
    let attributes = member(&shop, "m1").await.unwrap().attributes;
    assert_eq!(
        attributes.into_iter().collect::<Vec<_>>(),
        [("shoe_size".to_owned(), "42".to_owned()), ("شهر".to_owned(), "تهران".to_owned())]
    );
    let twice = shop.import_at(Kind::Members, "external_id,attributes.size,attributes.Size\n", TODAY).await;
    assert!(twice.unwrap_err().to_string().contains("stands here twice"));
    shop.close().await;
}

#[tokio::test]
async fn nobody_was_born_or_joined_when_nobody_can_have() {
    let shop = shop();
    let both = "birth_date: `0001-01-01` is before 1900; joined_at: `0001-01-01` is before 1970";
    let aside =
        [(2, both), (3, "birth_date: `1899-12-30` is before 1900"), (4, "birth_date: `2045-03-02` is in the future")];
    import(&shop, Kind::Members, fixture("members-dates.csv"), &aside).await;
    assert!(member(&shop, "d4").await.is_some());
    // Today and tomorrow by the shop's clock, where it is half past three in the afternoon.
    let file = "external_id,birth_date,joined_at\n\
        e1,2026-11-27,2026-11-28 23:59\n\
        e2,2026-11-28,\n\
        e3,,2026-11-29 00:00\n\
        e4,1278/10/10,\n\
        e5,1278/10/11,1348/10/11 03:30\n\
        e6,,1348/10/11 03:29\n\
        e7,0000-00-00,\n\
        e8,--02-30,\n";
    let aside =
        [(3, "in the future"), (4, "in the future"), (5, "before 1900"), (7, "before 1970"), (8, "birth_date: ")];
    import(&shop, Kind::Members, file, &aside).await;
    let head = "order_id,member_external_id,purchased_at,delivered_at,amount\n";
    let file = format!(
        "{head}1,e1,2026-11-28T10:00:00Z,,5\n2,e1,2028-01-01,,5\n3,e1,1969-12-31,,5\n4,e1,9999-12-31,,5\n\
         5,e1,2026-01-05 10:00,2026-01-05,5\n6,e1,2026-01-05,2026-01-04,5\n7,e1,2026-01-05,2036-01-04,5\n"
    );
    let aside = [
        (3, "purchased_at: `2028-01-01` is in the future"),
        (4, "before 1970"),
        (5, "in the future"),
        (7, "delivered_at: `2026-01-04` is before the order"),
        (8, "delivered_at: `2036-01-04` is in the future"),
    ];
    import(&shop, Kind::Purchases, file, &aside).await;
    // What is no date of a life is no occasion of one.
    import(&shop, Kind::Members, "external_id,attributes.a,attributes.b\ne1,0001-01-01,2020-05-05\n", &[]).await;
    assert_eq!(texts(&shop, "SELECT name FROM member_dates WHERE name LIKE 'attributes.%'").await, ["attributes.b"]);
    shop.close().await;
}

#[tokio::test]
async fn a_number_that_means_two_things_is_refused_and_the_others_are_exact() {
    let shop = shop();
    import(&shop, Kind::Members, "external_id\nm1\n", &[]).await;
    let mut aside = vec![
        (2, "amount: `1.500` means 1500 to some and 1.500 to others; write 1500, or 1.50"),
        (3, "amount: `1.234` means 1234"),
        (4, "amount: `980.000` means 980000"),
        (5, "amount: `2.450.000` is not a number; write it like 1250.50"),
    ];
    // Some are only found where their currency is known.
    aside.sort_unstable();
    import(&shop, Kind::Purchases, fixture("purchases-amounts.csv"), &aside).await;
    let found =
        texts(&shop, "SELECT order_id || ' ' || amount || ' ' || currency FROM purchases ORDER BY order_id").await;
    assert_eq!(found, ["5 125050 EUR", "6 1250 EUR"]);
    let points = "external_id,points\nm1,\"1,500\"\nm2,1.500\nm3,\"1,250,000\"\nm4,420.0\nm5,۱٬۵۰۰\nm6,-5\nm7,1.5\n";
    import(
        &shop,
        Kind::Members,
        points,
        &[(2, "points: `1,500` means 1500"), (3, "points: `1.500`"), (8, "not a whole number")],
    )
    .await;
    let found =
        texts(&shop, "SELECT external_id || ' ' || points FROM members WHERE points IS NOT NULL ORDER BY external_id")
            .await;
    assert_eq!(found, ["m3 1250000", "m4 420", "m5 1500", "m6 -5"]);
    shop.close().await;
}

#[tokio::test]
async fn marks_that_nobody_sees_are_understood_in_every_column() {
    let shop = shop();
    import(&shop, Kind::Members, fixture("members-marks.csv"), &[]).await;
    let found = texts(&shop, "SELECT email || ' ' || phone FROM members ORDER BY external_id").await;
    assert_eq!(found, ["v1@example.com +989121110001", "v2@example.com +989121110002"]);
    for mark in [
        '\u{200b}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}', '\u{feff}', '\u{ad}',
        '\u{a0}', '\u{2060}', '\u{61c}', '\u{200c}',
    ] {
        let shop = shop_of_marks();
        let m = mark;
        let members = format!(
            "{m}external_id{m},email,phone,first_name,birth_date,joined_at,locale,timezone,calendar,email_consent,tier,points,attributes.{m}size\n\
             {m}m1{m},{m}a@example.com{m},{m}+989121110001{m},{m}Eva{m},{m}1990-05-21{m},{m}2024-05-01{m},{m}fa{m},{m}Asia/Tehran{m},{m}persian{m},{m}yes{m},{m}gold{m},{m}12{m},{m}XL{m}\n"
        );
        import(&shop, Kind::Members, members, &[]).await;
        let m1 = member(&shop, "m1").await.unwrap_or_else(|| panic!("{mark:?}"));
        assert_eq!(
            (m1.email.as_deref(), m1.first_name.as_deref(), m1.tier.as_deref()),
            (Some("a@example.com"), Some("Eva"), Some("gold"))
        );
        assert_eq!((m1.email_consent, m1.points, m1.attributes["size"].as_str()), (true, Some(12), "XL"));
        let order = format!(
            "order_id,member_external_id,purchased_at,amount,currency,status,coupon_code\n{m}o1{m},{m}m1{m},{m}2026-01-05{m},{m}5.50{m},{m}EUR{m},{m}paid{m},{m}X-1{m}\n"
        );
        import(&shop, Kind::Purchases, order, &[]).await;
        import(&shop, Kind::Suppressions, format!("address,purpose\n{m}b@example.com{m},{m}marketing{m}\n"), &[]).await;
        import(&shop, Kind::Coupons { pool: None }, format!("code,pool\n{m}X-1{m},{m}may{m}\n"), &[]).await;
        let found = texts(&shop, "SELECT code || ' ' || pool FROM coupons UNION SELECT order_id || ' ' || coupon_code FROM purchases ORDER BY 1").await;
        assert_eq!(found, ["X-1 may", "o1 X-1"]);
        shop.close().await;
    }
    // A joiner inside a word, and one inside an emoji, are a part of it.
    import(&shop, Kind::Members, "external_id,first_name,last_name\nj1,می\u{200c}نا\u{200c},👩\u{200d}💻\n", &[]).await;
    let j1 = member(&shop, "j1").await.unwrap();
    assert_eq!((j1.first_name.as_deref(), j1.last_name.as_deref()), (Some("می\u{200c}نا"), Some("👩\u{200d}💻")));
    shop.close().await;
}

fn shop_of_marks() -> Shop {
    Shop::new(&Size::default(), PLAIN)
}

#[tokio::test]
async fn what_could_never_be_sent_is_not_stored() {
    let shop = shop();
    let long = "x".repeat(201);
    let file = format!(
        "external_id,first_name\nm1,a\u{1b}[31m\nm2,a\u{7}\nm3,a\u{92}b\nm4,{long}\n{long},a\nm6,{}\n",
        "x".repeat(200)
    );
    import(
        &shop,
        Kind::Members,
        file,
        &[
            (2, "first_name holds a control character"),
            (3, "first_name holds a control character"),
            (4, "first_name holds a control character"),
            (5, "first_name is longer than 200 characters"),
            (6, "external_id is longer than 200 characters"),
        ],
    )
    .await;
    assert!(member(&shop, "m6").await.is_some());
    shop.close().await;
}

#[tokio::test]
async fn a_readable_no_counts_whatever_is_wrong_with_its_row() {
    let shop = shop();
    let head = "external_id,email,phone,first_name,email_consent,sms_consent\n";
    let day_1: String = (1..=8).map(|n| format!("w{n},w{n}@example.com,0912111000{n},W,yes,yes\n")).collect();
    import(&shop, Kind::Members, format!("{head}{day_1}"), &[]).await;
    let day_2 = format!(
        "{head}w1,w1@example.com,9.12E+09,W,no,yes\n\
         w2,not-an-address,,W,خير,n\n\
         w3,w3@example.com,,#N/A,,0\n\
         w4,w4@example.com,12,W,yes,yes\n\
         9E+10,w5@example.com,,W,no,no\n\
         w6,w6@example.com,,\"W,no,no\n\
         w7,w7@example.com,12,W,no,maybe\n\
         stranger,x@example.com,12,W,no,no\n\
         w8,w8@example.com,no,no\n"
    );
    let done = shop.import_at(Kind::Members, &day_2, TODAY).await.unwrap();
    assert_eq!((done.rejected, done.withdrawn), (9, 5), "{:?}", rejects(&shop));
    let found =
        texts(&shop, "SELECT external_id || email_consent || sms_consent FROM members ORDER BY external_id").await;
    assert_eq!(found, ["w101", "w200", "w310", "w411", "w511", "w611", "w701", "w811"]);
    assert_eq!(
        member(&shop, "w1").await.unwrap().phone.as_deref(),
        Some("+989121110001"),
        "nothing else of the row counts"
    );
    // What is withdrawn already is not withdrawn again, and changes nobody.
    let changes = texts(&shop, "SELECT CAST(changed AS TEXT) FROM members ORDER BY external_id").await;
    assert_eq!(shop.import_at(Kind::Members, &day_2, TODAY).await.unwrap().withdrawn, 0);
    assert_eq!(texts(&shop, "SELECT CAST(changed AS TEXT) FROM members ORDER BY external_id").await, changes);
    shop.close().await;
}

#[tokio::test]
async fn of_a_no_and_a_yes_in_one_file_the_later_counts() {
    let head = "external_id,phone,sms_consent\n";
    for (rows, expected) in [
        ("m1,09121110001,yes\nm1,12,no\n", "0"),
        ("m1,12,no\nm1,09121110001,yes\n", "1"),
        ("m1,09121110001,yes\nm1,12,no\nm1,09121110001,yes\n", "1"),
        ("m1,09121110001,yes\nm1,12,no\nm1,12,yes\n", "0"),
    ] {
        let shop = shop();
        shop.import_at(Kind::Members, format!("{head}{rows}"), TODAY).await.unwrap();
        assert_eq!(texts(&shop, "SELECT CAST(sms_consent AS TEXT) FROM members").await, [expected], "{rows}");
        shop.close().await;
    }
}

#[tokio::test]
async fn rows_swallowed_by_a_quote_still_take_consent_back() {
    let shop = shop();
    let head = "external_id,first_name,email_consent\n";
    import(&shop, Kind::Members, format!("{head}m1,Eva,yes\nm2,Kai,yes\nm3,Ann,yes\n"), &[]).await;
    let file = format!("{head}m1,\"Eva,yes\nm2,Kai,no\nm3,\"\"Ann\",no\n");
    let done = shop.import_at(Kind::Members, file, TODAY).await.unwrap();
    assert_eq!((done.rows, done.rejected + done.updated), (3, 3));
    let found = texts(&shop, "SELECT external_id || email_consent FROM members ORDER BY external_id").await;
    assert_eq!(found[1], "m20", "{found:?}");
    shop.close().await;
}

#[tokio::test]
async fn rejects_are_of_the_last_run_and_overwrite_nothing_else() {
    let shop = shop();
    let path = shop.folder.0.join("rejects.csv");
    import(&shop, Kind::Members, "external_id,phone\nm1,12\n", &[(2, "phone")]).await;
    import(&shop, Kind::Members, "external_id,phone\nm1,\n", &[]).await;
    assert!(!path.exists(), "of an earlier run");
    // A file that is somebody's, and a link to one.
    for linked in [false, true] {
        let victim = shop.write("victim", "something else\n");
        let _ = std::fs::remove_file(&path);
        if linked {
            std::os::unix::fs::symlink(&victim, &path).unwrap();
        } else {
            std::fs::rename(&victim, &path).unwrap();
        }
        let refused = shop.import_at(Kind::Members, "external_id,phone\nm1,12\n", TODAY).await.unwrap_err().to_string();
        let why = if linked { "it is a link" } else { "name another file with --rejects" };
        assert!(refused.contains(why), "{refused}");
        let kept = if linked { victim } else { path.clone() };
        assert_eq!(std::fs::read_to_string(kept).unwrap(), "something else\n");
    }
    // Nor the file itself, though it looks like one.
    std::fs::remove_file(&path).unwrap();
    let own = shop.write("import.csv", "");
    std::os::unix::fs::symlink(own, &path).unwrap();
    let refused = shop.import_at(Kind::Members, "line,reason,row\n", TODAY).await.unwrap_err().to_string();
    assert!(refused.contains("it is the file that is imported"), "{refused}");
    shop.close().await;
}

#[tokio::test]
async fn rejected_rows_are_no_formulas_and_read_back_as_they_were() {
    let shop = shop();
    let file = "address,reason\n=cmd|x,a\n@a,b\n+12,c\n-12,\"d\"\n";
    import(&shop, Kind::Suppressions, file, &[(2, "address"), (3, "address"), (4, "address"), (5, "address")]).await;
    let rows: Vec<String> = rejects(&shop).into_iter().map(|(.., row)| row).collect();
    assert_eq!(rows, ["'=cmd|x,a", "'@a,b", "'+12,c", "'-12,\"d\""]);
    // A number that was guarded is understood, here and as other programs write it.
    let file = "external_id,phone,first_name\n'm1,'+989121110001,'=Eva\n'7,'09121110002,'t Hooft\n";
    import(&shop, Kind::Members, file, &[]).await;
    let found =
        texts(&shop, "SELECT external_id || ' ' || phone || ' ' || first_name FROM members ORDER BY external_id").await;
    assert_eq!(found, ["'m1 +989121110001 =Eva", "7 +989121110002 't Hooft"]);
    shop.close().await;
}

#[tokio::test]
async fn a_file_whose_quote_never_closes_is_read_in_bounded_memory_and_time() {
    let shop = shop();
    let mut file = "address,purpose,reason\nfirst@example.com,marketing,\"asked\n".to_owned();
    let filler = "x".repeat(200);
    while file.len() < 4 << 20 {
        file += &format!("not an address,,{filler}\n");
    }
    file += "last@example.com,,\"and\"\n";
    let done = shop.import_at(Kind::Suppressions, &file, TODAY).await.unwrap();
    assert_eq!(done.rows, file.lines().count() as u64 - 1);
    assert_eq!(closed(&shop).await, ["last@example.com"]);
    // One line of several megabytes, and one that never ends.
    let long = "x".repeat(3 << 20);
    let file = format!("address,reason\na@example.com,{long}\nb@example.com,\"{long}\nc@example.com,{long}");
    let aside = [(2, "longer than 1048576 bytes"), (3, "longer than"), (4, "longer than")];
    import(&shop, Kind::Suppressions, file, &aside).await;
    let wide = format!("external_id{}\n", ",attributes.x".repeat(5_000));
    let refused = shop.import_at(Kind::Members, wide, TODAY).await.unwrap_err().to_string();
    assert!(refused.contains("at most 1000"), "{refused}");
    shop.close().await;
}
