//! Files that something damaged on their way here: each import ends with rows kept and rows set aside, or with an
//! error, and closes no address that does not stand in the file.

use rekindle::import::{ImportError, Kind};
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
    let Store::Sqlite(pool) = shop.store().await else { unreachable!() };
    sqlx::query_scalar("SELECT DISTINCT address FROM suppressions").fetch_all(pool).await.unwrap()
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
