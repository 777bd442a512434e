//! Many days in a row: the shop's files come in each day, messages go out, members react, and at the end the reports
//! say what that earned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::behaviour::{Act, BEHAVIOURS, Sent, USES_CODE, refunded};
use super::dice::Dice;
use super::doors::Doors;
use super::shop::{MEMBERS, Member, ORDERS, Order, Shop, member_id, write_lines};
use super::truth::Caused;
use crate::app::App;
use crate::cli::output::Progress;
use crate::cli::{CommandError, Result};
use crate::domain::{Instant, instant};
use crate::import::{Import, Kind};
use crate::nightly;
use crate::store::gifts;
use crate::store::messages::{self, Filter, Listed};

/// How long a message may have waited since it fell due, in milliseconds: a night, days of rest. After three days it is
/// too late for all of the project's campaigns.
const LONGEST_WAIT: i64 = 4 * 86_400_000;

/// The columns of the orders of one day.
const ORDERS_OF_A_DAY: &str = "status,coupon_code";

/// What somebody is going to do.
struct Coming {
    act: Act,
    message: Uuid,
    campaign: String,
    member: u32,
}

/// The days, and what is to come in them.
pub(super) struct Year<'a> {
    app: &'a App,
    doors: Doors<'a>,
    folder: &'a Path,
    members: Vec<Member>,
    /// By when they are made.
    orders: Vec<Order>,
    coming: BTreeMap<(Instant, u64), Coming>,
    /// Orders that will be refunded.
    refunds: BTreeMap<(Instant, u32), (Order, Option<String>)>,
    /// Everything that was caused so far.
    pub caused: Vec<Caused>,
    /// How many orders there are, caused ones with them.
    numbered: u32,
    scheduled: u64,
}

impl<'a> Year<'a> {
    pub async fn new(app: &'a App, folder: &'a Path, shop: Shop) -> Result<Self> {
        let Shop { mut members, mut orders } = shop;
        members.sort_by_key(|member| member.joined);
        let numbered = orders.len() as u32;
        orders.sort_by_key(|order| (order.at, order.number));
        Ok(Self {
            doors: Doors::open(app).await?,
            app,
            folder,
            members,
            orders,
            coming: BTreeMap::new(),
            refunds: BTreeMap::new(),
            caused: Vec::new(),
            numbered,
            scheduled: 0,
        })
    }

    /// How many orders were made.
    pub const fn orders(&self) -> u64 {
        self.numbered as u64
    }

    /// Lets the days of [from, to) go by, one after the other.
    pub async fn pass(&mut self, from: Instant, to: Instant) -> Result {
        let days = (to - from).num_days();
        let mut progress = Progress::new("the days go by", days.unsigned_abs());
        // What was before is a file of its own, as a shop begins with one.
        let before = instant(0);
        self.members_come(before, from, from).await?;
        self.orders_come(before, from).await?;
        self.members_come(from, from + chrono::Duration::days(1), from).await?;
        let app = self.app;
        let passed = app
            .once_daily(from, to, async |day, next| {
                self.react(day, next).await?;
                self.orders_come(day, next).await?;
                self.members_come(next, next + chrono::Duration::days(1), next).await?;
                progress.at((next - from).num_days().unsigned_abs());
                Ok::<(), CommandError>(())
            })
            .await;
        progress.finish();
        if passed?.stopped {
            return Err(CommandError::Stopped);
        }
        let _ = std::fs::remove_file(self.day_file());
        // Once, at the end: nobody looks at its reports in between.
        let catalog = app.applied(None).await?;
        nightly::work(&app.store, &catalog, to, &mut |_| {}).await?;
        Ok(())
    }

    /// Brings in who joins in [from, to).
    async fn members_come(&self, from: Instant, to: Instant, now: Instant) -> Result {
        self.app.clock.set(now);
        let begin = self.members.partition_point(|member| member.joined < from);
        let end = self.members.partition_point(|member| member.joined < to);
        let rows: Vec<String> = self.members[begin..end].iter().map(|member| member.row.clone()).collect();
        self.import(Kind::Members, MEMBERS, rows).await
    }

    /// Brings in what was bought in [from, to), by itself and because of messages, and what was refunded.
    async fn orders_come(&mut self, from: Instant, to: Instant) -> Result {
        self.app.clock.set(to);
        let begin = self.orders.partition_point(|order| order.at < from);
        let end = self.orders.partition_point(|order| order.at < to);
        let own = self.orders[begin..end].iter().map(|order| (*order, None));
        let caused = self.caused.iter().filter(|one| from <= one.order.at && one.order.at < to);
        let made: Vec<(Order, Option<String>)> = own.chain(caused.map(|one| (one.order, one.code.clone()))).collect();
        let row = |order: &Order, status: &str, code: &Option<String>| {
            format!("{},{status},{}", order.row(), code.as_deref().unwrap_or_default())
        };
        let mut rows: Vec<String> = made.iter().map(|(order, code)| row(order, "paid", code)).collect();
        for (order, code) in made {
            if let Some(at) = refunded(&order.id(), order.at) {
                self.refunds.insert((at, order.number), (order, code));
            }
        }
        let later = self.refunds.split_off(&(to, 0));
        for (order, code) in std::mem::replace(&mut self.refunds, later).into_values() {
            rows.push(row(&order, "refunded", &code));
            for one in self.caused.iter_mut().filter(|one| one.order.number == order.number) {
                one.is_refunded = true;
            }
        }
        self.import(Kind::Purchases, &format!("{ORDERS},{ORDERS_OF_A_DAY}"), rows).await
    }

    async fn import(&self, kind: Kind<'_>, columns: &str, rows: Vec<String>) -> Result {
        if rows.is_empty() {
            return Ok(());
        }
        let (file, rejects) = (self.day_file(), self.folder.join("rejects.csv"));
        write_lines(&file, columns, rows)?;
        let import = Import {
            store: &self.app.store,
            brand: &self.app.settings.brand,
            clock: &self.app.clock,
            file: &file,
            rejects,
            stop: &self.app.stop,
        };
        let done = import.run(kind, &mut |_| ()).await?;
        if done.rejected > 0 {
            return Err(CommandError::Other(format!("{} rows of {} were rejected", done.rejected, file.display())));
        }
        Ok(())
    }

    fn day_file(&self) -> PathBuf {
        self.folder.join("day.csv")
    }

    /// Lets members do what they do in [from, to) about what was sent by then.
    async fn react(&mut self, from: Instant, to: Instant) -> Result {
        for message in self.sent(from, to).await? {
            let (Some(at), Some(channel)) = (message.sent_at, message.channel.as_deref()) else { continue };
            let Ok(channel) = channel.parse() else { continue };
            let sent = Sent {
                member: &message.member,
                campaign: &message.campaign,
                occasion: &message.occasion,
                step: &message.step,
                channel,
                at: instant(at),
            };
            let Some(member) = message.member.get(1..).and_then(|number| number.parse().ok()) else { continue };
            for (at, act) in sent.followed_by() {
                self.scheduled += 1;
                let coming = Coming { act, message: message.id, campaign: message.campaign.clone(), member };
                self.coming.insert((at, self.scheduled), coming);
            }
        }
        let later = self.coming.split_off(&(to, 0));
        for ((at, _), coming) in std::mem::replace(&mut self.coming, later) {
            match coming.act {
                Act::Buys => self.buy(&coming, at).await?,
                act => self.doors.act(act, coming.message, at).await?,
            }
        }
        Ok(())
    }

    /// What went out in [from, to).
    async fn sent(&self, from: Instant, to: Instant) -> Result<Vec<Listed>> {
        let (from, to) = (from.timestamp_millis(), to.timestamp_millis());
        let mut after = (from - LONGEST_WAIT, Uuid::nil());
        let mut found = Vec::new();
        let mut tx = self.app.store.read().await?;
        loop {
            let page = messages::list(&mut tx, &Filter::default(), after, 2_000).await?;
            let Some(last) = page.last() else { break };
            after = (last.due_at, last.id);
            found.extend(page.into_iter().filter(|row| row.sent_at.is_some_and(|at| from <= at && at < to)));
        }
        tx.commit().await?;
        // By what is the same in every run, so that orders get the same numbers.
        found.sort_by(|one, other| {
            let key = |row: &Listed| (row.sent_at, row.member.clone(), row.campaign.clone(), row.step.clone());
            key(one).cmp(&key(other))
        });
        Ok(found)
    }

    /// Notes an order that a message caused; it comes with the day's file.
    async fn buy(&mut self, coming: &Coming, at: Instant) -> Result {
        let Some(own) = BEHAVIOURS.iter().find(|own| own.campaign == coming.campaign) else { return Ok(()) };
        let member = member_id(coming.member);
        let is_persian = self.members.iter().any(|one| one.number == coming.member && one.is_persian);
        self.numbered += 1;
        let mut dice = Dice::of(&["order", &member, own.campaign, &at.timestamp().to_string()]);
        let order = Order::make(&mut dice, self.numbered, (coming.member, is_persian), at);
        let code = if dice.chance(USES_CODE) { self.code(own.campaign, &member).await? } else { None };
        self.caused.push(Caused { campaign: own.campaign, order, code, is_refunded: false });
        Ok(())
    }

    /// The code that a campaign gave the member last.
    async fn code(&self, campaign: &str, member: &str) -> Result<Option<String>> {
        let filter = gifts::Filter { campaign: Some(campaign.to_owned()), member: Some(member.to_owned()), pool: None };
        let mut tx = self.app.store.read().await?;
        let given = gifts::list(&mut tx, &filter).await?;
        tx.commit().await?;
        Ok(given.into_iter().rev().find_map(|gift| gift.code))
    }
}
