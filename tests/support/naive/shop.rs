//! The members and their valid orders, read from CSV.

use std::collections::BTreeMap;
use std::io::Read;

use chrono::DateTime;
use chrono_tz::Tz;

use super::Brand;
use super::calendar::Calendar;
use super::keys::decimal;

/// The cells of a CSV row that are not empty, by column.
pub type Row = BTreeMap<String, String>;

/// The members and their valid orders.
#[derive(Clone)]
pub struct Shop {
    /// By `external_id`.
    pub(super) members: BTreeMap<String, Member>,
}

#[derive(Clone, Default)]
pub struct Member {
    pub id: String,
    pub row: Row,
    /// In the order of instant and id, without cancelled and refunded ones.
    pub orders: Vec<Order>,
}

#[derive(Clone)]
pub struct Order {
    pub id: String,
    pub purchased_at: i64,
    pub delivered_at: Option<i64>,
    /// In millionths of the major unit.
    pub amount: i128,
    /// Empty where it is the brand's.
    pub currency: String,
    pub items: Vec<Item>,
}

/// In lower case.
#[derive(Clone)]
pub struct Item {
    pub category: Option<String>,
    pub sku: String,
}

impl Shop {
    pub fn from_csv(members: impl Read, purchases: impl Read) -> Shop {
        let mut orders: BTreeMap<String, Vec<Order>> = BTreeMap::new();
        for (id, row) in rows(purchases, "order_id") {
            match row.get("status").map_or("paid", String::as_str) {
                "paid" => {}
                "cancelled" | "refunded" => continue,
                other => panic!("order {id}: status {other}"),
            }
            let order = Order {
                id,
                purchased_at: instant(&row["purchased_at"]),
                delivered_at: row.get("delivered_at").map(|text| instant(text)),
                amount: decimal(&row["amount"]),
                currency: row.get("currency").cloned().unwrap_or_default(),
                items: row.get("items").map(|text| items(text)).unwrap_or_default(),
            };
            orders.entry(row["member_external_id"].clone()).or_default().push(order);
        }
        let mut by_id = BTreeMap::new();
        for (id, row) in rows(members, "external_id") {
            let mut orders = orders.remove(&id).unwrap_or_default();
            orders.sort_by(|a, b| (a.purchased_at, &a.id).cmp(&(b.purchased_at, &b.id)));
            by_id.insert(id.clone(), Member { id, row, orders });
        }
        Shop { members: by_id }
    }
}

/// The rows of a CSV file by their id. A later row for the same id replaces the earlier one.
fn rows(csv: impl Read, id: &str) -> BTreeMap<String, Row> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.trim(csv::Trim::All).from_reader(csv);
    let mut by_id = BTreeMap::new();
    for row in reader.deserialize() {
        let mut row: Row = row.expect("a CSV row");
        row.retain(|_, cell| !cell.is_empty());
        by_id.insert(row[id].clone(), row);
    }
    by_id
}

/// `SKU` or `CATEGORY/SKU`, each perhaps with ` x2`, separated by semicolons.
fn items(cell: &str) -> Vec<Item> {
    let parts = cell.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let is_count = |word: &str| {
                word.strip_prefix('x').is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
            };
            let name = match part.rsplit_once(' ') {
                Some((name, word)) if is_count(word) => name.trim(),
                _ => part,
            };
            let name = name.to_lowercase();
            match name.split_once('/') {
                Some((category, sku)) => {
                    Item { category: Some(category.trim().to_string()), sku: sku.trim().to_string() }
                }
                None => Item { category: None, sku: name },
            }
        })
        .collect()
}

/// An RFC 3339 instant.
pub fn instant(text: &str) -> i64 {
    let time = DateTime::parse_from_rfc3339(text);
    time.expect("an instant").timestamp_millis()
}

impl Member {
    pub fn cell(&self, column: &str) -> Option<&str> {
        self.row.get(column).map(String::as_str)
    }

    pub fn zone(&self, brand: &Brand) -> Tz {
        self.cell("timezone").map_or(brand.timezone, |name| name.parse().expect("a time zone"))
    }

    pub fn calendar(&self, brand: &Brand) -> Calendar {
        self.cell("calendar").map_or(brand.calendar, Calendar::read)
    }

    pub fn joined_at(&self) -> Option<i64> {
        self.cell("joined_at").map(instant)
    }

    /// The address on a channel, written in one way: members who share it have the same.
    pub fn address(&self, channel: &str) -> Option<String> {
        if channel == "email" {
            let address = self.cell("email").filter(|address| address.contains('@'))?;
            Some(address.to_lowercase())
        } else {
            let digits: String = self.cell("phone")?.chars().filter(char::is_ascii_digit).collect();
            (digits.len() >= 8).then_some(digits)
        }
    }

    pub fn has_consent(&self, channel: &str) -> bool {
        let column = if channel == "email" { "email_consent" } else { "sms_consent" };
        self.cell(column) == Some("true")
    }
}
