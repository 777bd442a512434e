//! Files that something damaged on their way here: each import ends with rows kept and rows set aside, or with an
//! error, and closes no address that does not stand in the file. No line that reads as a row is lost: it is taken, or
//! set aside with its number.

use std::collections::BTreeSet;

use rekindle::domain::address;
use rekindle::import::{ImportError, Imported, Kind};
use rekindle::store::Store;

use crate::support::seed;
use crate::support::shop::{Dice, PLAIN, Shop, Size};

const FILES: &[(Kind<'static>, &str)] = &[
    (
        Kind::Members,
        "external_id,email,phone,first_name,birth_date,joined_at,timezone,calendar,email_consent,points,attributes.city\n\
         m1,sara@example.com,0912 345 6789,سارا,1369/12/28,1403/01/15,Asia/Tehran,persian,yes,420,شیراز\n\
         m2,tom@example.com,+442079460958,\"Tom, \"\"T\"\"\",--02-29,2025-03-16T09:00:00Z,Europe/London,gregorian,no,,Leeds\n\
         m3,,,,,,,,,\"1,200\",\n",
    ),
    (
        Kind::Purchases,
        "order_id,member_external_id,purchased_at,amount,currency,status,items,coupon_code\n\
         o1,m1,1405/10/25 18:30,2450000,IRR,paid,TEA/A-1 x2; B-2,X-1\no2,m2,2027-03-13T11:05:00Z,49.90,EUR,refunded,,\n",
    ),
    (
        Kind::Suppressions,
        "address,purpose,reason\nold@example.com,marketing,asked\nGone@Example.org,,bounced\n0935 111 2233,service,phone\n",
    ),
    (Kind::Coupons { pool: Some("may") }, "code,pool\nA-1,june\nB-2,\nبهار۱,may\n"),
];

/// Some damage to a file: bytes changed, removed, doubled or put in, lines exchanged, the end cut off.
fn damaged(dice: &mut Dice, file: &str) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"\"",
        b",",
        b"\n",
        b"\r",
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b";",
        b"=cmd|",
        b"@",
        "ي۱٫".as_bytes(),
        b"-9",
        b",\"",
        b"\"\n",
        b"\"\",\"",
        b"\"a\nb\"",
        b"\r\n",
        b"\n\n",
        b"NULL",
        b"1.2E+09",
        b"\x1b[2J",
        "\u{202e}\u{200b}\u{a0}".as_bytes(),
        b",no,",
        b"1.500",
    ];
    let mut bytes = file.as_bytes().to_vec();
    for _ in 0..=dice.below(3) {
        let place = |dice: &mut Dice, bytes: &[u8]| dice.below(bytes.len() as u64 + 1) as usize;
        let (a, b) = (place(dice, &bytes), place(dice, &bytes));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 40));
        match dice.below(8) {
            0 if from < bytes.len() => bytes[from] = dice.below(256) as u8,
            1 => drop(bytes.drain(from..to)),
            2 => {
                let piece = bytes[from..to].to_vec();
                bytes.splice(to..to, piece);
            }
            3 => bytes.truncate(from.max(1)),
            4 => {
                let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                dice.shuffle(&mut lines);
                bytes = lines.join(&b'\n');
            }
            5 => drop(bytes.splice(from..from, std::iter::repeat_n(b'x', dice.below(3_000) as usize))),
            _ => drop(bytes.splice(from..from, dice.pick(PIECES).to_vec())),
        }
    }
    bytes
}

/// The addresses that are closed.
async fn closed(shop: &Shop) -> Vec<String> {
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    sqlx::query_scalar("SELECT DISTINCT address FROM suppressions").fetch_all(pool).await.unwrap()
}

/// The lines of a file, whatever ends them, with their numbers.
fn lines(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = vec![Vec::new()];
    let mut before = 0;
    for byte in bytes {
        match (before, byte) {
            (b'\r', b'\n') => {}
            (_, b'\r' | b'\n') => found.push(Vec::new()),
            _ => found.last_mut().unwrap().push(*byte),
        }
        before = *byte;
    }
    (1..).zip(found).filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace)).collect()
}

/// The cells of a line that stands alone, as another reader of CSV finds them.
fn cells(line: &[u8]) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line);
    let row = reader.byte_records().next().map(|row| row.unwrap()).unwrap_or_default();
    row.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
}

/// The addresses that are closed, or the members who are there.
async fn stored(shop: &Shop, kind: Kind<'_>) -> BTreeSet<String> {
    if kind == Kind::Suppressions {
        return closed(shop).await.into_iter().collect();
    }
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    sqlx::query_scalar("SELECT external_id FROM members").fetch_all(pool).await.unwrap().into_iter().collect()
}

/// No line that reads as an opt-out, or as a row of a member, is lost.
async fn assert_nothing_is_lost(turn: u64, shop: &Shop, kind: Kind<'_>, bytes: &[u8], done: &Imported) {
    let lines = lines(bytes);
    let (_, header) = &lines[0];
    let columns = header.split(|byte| *byte == b',').count();
    let rows = lines.len() as u64 - 1;
    let within = lines[1..].iter().filter(|(_, line)| cells(line).len() < columns).count();
    assert!(done.rows <= rows && done.rows + within as u64 >= rows, "turn {turn}: {} of {rows} rows", done.rows);
    if !bytes.contains(&b'"') {
        assert_eq!(done.rows, rows, "turn {turn}");
    }
    let first = String::from_utf8_lossy(header);
    let name = |column: &str| first.trim_start_matches('\u{feff}').split(',').position(|name| name.trim() == column);
    let key = match kind {
        Kind::Suppressions => name("address"),
        Kind::Members => name("external_id"),
        _ => None,
    };
    let Some(key) = key else { return };
    let rejects = shop.folder.0.join("rejects.csv");
    let aside: BTreeSet<u64> = match csv::Reader::from_path(rejects) {
        Ok(mut reader) => reader.records().map(|row| row.unwrap()[0].parse().unwrap()).collect(),
        Err(_) => BTreeSet::new(),
    };
    assert_eq!(aside.len() as u64, done.rejected, "turn {turn}");
    let stored = stored(shop, kind).await;
    for (number, line) in &lines[1..] {
        let cells = cells(line);
        if cells.len() != columns {
            continue;
        }
        let plain = match kind {
            Kind::Suppressions => address::parse(&cells[key]).ok().map(|address| address.to_lowercase()),
            // An id of which nothing is to be cleaned.
            _ => Some(cells[key].clone()).filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric())),
        };
        let Some(id) = plain else { continue };
        assert!(
            stored.contains(&id) || aside.contains(number),
            "turn {turn}: line {number} is lost: {:?}",
            String::from_utf8_lossy(line)
        );
    }
}

#[tokio::test]
async fn damaged_files_are_imported_row_by_row_or_refused() {
    let shop = Shop::new(&Size::default(), PLAIN);
    let mut dice = Dice(seed(202_611));
    let (mut whole, mut refused, mut rejected) = (0, 0, 0);
    for turn in 0..10_000 {
        let (kind, file) = dice.pick(FILES);
        // Whatever damages the first line has the whole file refused: mostly it is left alone.
        let (head, rows) = file.split_at(if dice.once_in(4) { 0 } else { file.find('\n').unwrap() + 1 });
        let bytes = [head.as_bytes(), &damaged(&mut dice, rows)].concat();
        let before = closed(&shop).await;
        match shop.try_import(*kind, &bytes).await {
            Ok(done) => {
                assert_eq!(done.rows, done.inserted + done.updated + done.unchanged + done.rejected, "turn {turn}");
                assert_nothing_is_lost(turn, &shop, *kind, &bytes, &done).await;
                whole += u64::from(done.rejected == 0);
                rejected += done.rejected;
            }
            Err(ImportError::Header { .. } | ImportError::Unreadable { .. }) => refused += 1,
            Err(other) => panic!("turn {turn}: {other}"),
        }
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        for address in closed(&shop).await.into_iter().filter(|address| !before.contains(address)) {
            assert!(matches!(kind, Kind::Suppressions), "turn {turn}: {kind:?} closed an address");
            let stands_there = match address.strip_prefix('+') {
                // The national number, however it is written there.
                Some(number) => digits.contains(&number[number.len().saturating_sub(6)..]),
                None => text.contains(&address),
            };
            assert!(stands_there, "turn {turn}: {address} was closed and is not in the file");
        }
    }
    assert!(
        whole > 300 && refused > 300 && rejected > 300,
        "{whole} whole, {refused} refused, {rejected} rows set aside"
    );
    shop.close().await;
}
