//! What messages caused, as only the demo can know it: it made the orders up.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use uuid::Uuid;

use super::behaviour::BEHAVIOURS;
use super::shop::{Order, member_id};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::campaign::Campaign;
use crate::domain::experiment::arms::TREATED;
use crate::domain::gift::GiftRule;
use crate::domain::money::minor_units;
use crate::store::messages::{self, Filter};
use crate::store::{StoreError, Tx};

/// An order that somebody made because of a message.
#[derive(Debug)]
pub(super) struct Caused {
    pub campaign: &'static str,
    pub order: Order,
    /// The code that was used.
    pub code: Option<String>,
    pub is_refunded: bool,
}

/// What a campaign brought, by the orders that it caused: those that `report effect` counts, of the same members.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Truth {
    pub campaign: &'static str,
    /// The chance that a message makes somebody buy.
    pub buys: f64,
    /// Those whom the experiment treated, whose time to buy is over.
    pub members: u64,
    pub orders: u64,
    /// In major units of the brand's currency.
    pub revenue_per_member: f64,
    pub net_per_member: f64,
}

impl Truth {
    /// Adds up what the messages of a campaign caused by `at`.
    pub async fn of(
        tx: &mut Tx,
        campaign: &Campaign,
        caused: &[Caused],
        brand: &Brand,
        at: Instant,
    ) -> Result<Option<Self>, StoreError> {
        let Some(own) = BEHAVIOURS.iter().find(|own| own.campaign == campaign.name) else { return Ok(None) };
        let within = campaign.experiment.goal.within;
        let treated = treated(tx, &campaign.name).await?;
        let is_over = |due: &i64| due + within.num_milliseconds() <= at.timestamp_millis();
        let members = treated.values().filter(|due| is_over(due)).count();
        let mut truth = Self {
            campaign: own.campaign,
            buys: own.buys,
            members: members as u64,
            orders: 0,
            revenue_per_member: 0.0,
            net_per_member: 0.0,
        };
        let cost = campaign.steps.iter().find_map(|step| match step.gift {
            Some(GiftRule::Coupon { cost, .. }) => cost,
            _ => None,
        });
        let cost = cost.unwrap_or(0) as f64 / minor_units(&brand.currency);
        let mut codes = HashSet::new();
        let (mut revenue, mut costs) = (0.0, 0.0);
        for one in caused.iter().filter(|one| one.campaign == own.campaign && !one.is_refunded) {
            let due = treated.get(&member_id(one.order.member)).filter(|due| is_over(due));
            let made = one.order.at.timestamp_millis();
            let counts = due.is_some_and(|due| *due < made && made <= due + within.num_milliseconds());
            if !counts || one.order.currency() != brand.currency {
                continue;
            }
            truth.orders += 1;
            revenue += one.order.paid();
            if one.code.as_ref().is_some_and(|code| codes.insert(code)) {
                costs += cost;
            }
        }
        truth.revenue_per_member = revenue / members.max(1) as f64;
        truth.net_per_member = (revenue - costs) / members.max(1) as f64;
        Ok(Some(truth))
    }
}

/// The members whom a campaign's experiment treated, with when their first message fell due.
async fn treated(tx: &mut Tx, campaign: &str) -> Result<HashMap<String, i64>, StoreError> {
    let filter = Filter { campaign: Some(campaign.to_owned()), ..Filter::default() };
    let mut first: BTreeMap<String, (i64, bool)> = BTreeMap::new();
    let mut after = (i64::MIN, Uuid::nil());
    loop {
        let page = messages::list(tx, &filter, after, 2_000).await?;
        let Some(last) = page.last() else { break };
        after = (last.due_at, last.id);
        for message in page.into_iter().filter(|message| message.assigned_at.is_some()) {
            let is_treated = message.arm.as_deref() == Some(TREATED);
            first.entry(message.member).or_insert((message.due_at, is_treated));
        }
    }
    Ok(first.into_iter().filter(|(_, (_, is_treated))| *is_treated).map(|(member, (due, _))| (member, due)).collect())
}
