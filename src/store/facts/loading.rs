//! Reading what a batch's decisions rest on.

use std::collections::HashSet;

use super::{Counted, Heard, Sharing, Surroundings};
use crate::domain::campaign::Campaign;
use crate::domain::member::suppression_key;
use crate::domain::message::Channel;
use crate::domain::purchase::Placed;
use crate::domain::{Instant, instant};
use crate::store::audience_facts::AudienceFacts;
use crate::store::gifts::{GiftFacts, Stock};
use crate::store::subject::Subject;
use crate::store::{Ids, Result, Texts, Tx, members, objections, purchases, query, statements, suppressions};

statements! {
    COUNTED = "SELECT member_id, id, campaign, channel, COALESCE(sent_at, queued_at) FROM messages WHERE member_id {in $1} \
        AND state IN ('queued', 'sending', 'sent', 'uncertain', 'delivered', 'bounced', 'complained') \
        AND COALESCE(sent_at, queued_at) > $2";
    GREETINGS = "SELECT member_id, campaign, occasion, first_due_at FROM messages WHERE member_id {in $1} \
        AND state IN ('queued', 'sending', 'sent', 'uncertain', 'delivered', 'bounced', 'complained') AND campaign {in $2}";
    FIRST_STEPS = "SELECT member_id, campaign, occasion, reason FROM messages WHERE member_id {in $1} AND campaign {in $2} \
        AND step = 'main' AND reason IN ('held_out', 'outside_audience')";
    PURCHASES = "SELECT member_id, purchased_at FROM purchases WHERE member_id {in $1} AND status = 'paid' \
        ORDER BY member_id, purchased_at";
    CLOSE_ORDERS = "SELECT member_id, id, order_id, purchased_at FROM purchases WHERE member_id {in $1} AND status = 'paid'";
    THANKED = "SELECT m.member_id, m.campaign, m.step, p.id, p.order_id, p.purchased_at FROM messages m \
        JOIN purchases p ON p.id = m.purchase_id WHERE m.member_id {in $1} AND m.campaign {in $2} \
        AND m.state IN ('queued', 'sending', 'sent', 'uncertain', 'delivered', 'bounced', 'complained')";
    ASSIGNED = "SELECT member_id, campaign, occasion, step, channel, assigned_at FROM messages WHERE member_id {in $1} \
        AND campaign {in $2} AND assigned_at IS NOT NULL AND channel IS NOT NULL";
    CHOSEN = "SELECT name, chosen FROM campaigns WHERE name {in $1} AND chosen IS NOT NULL";
    HEARD = "SELECT m.member_id, m.campaign, m.occasion, m.step, e.kind, MIN(e.at) FROM messages m \
        JOIN events e ON e.message_id = m.id WHERE m.member_id {in $1} AND m.campaign {in $2} \
        AND e.kind IN ('opened', 'clicked') GROUP BY 1, 2, 3, 4, 5";
}

impl Sharing {
    /// Who shares an address with the subjects' members, for the frequency cap (`capped`) and for occasions that
    /// everybody has at once.
    pub async fn load(tx: &mut Tx, subjects: &[Subject<'_>], capped: bool) -> Result<Self> {
        let asks = |campaign: &Campaign| {
            capped && campaign.limits.counts_for_cap || campaign.trigger.features().is_for_everybody
        };
        let ids = subjects.iter().filter(|subject| asks(subject.campaign)).map(|subject| subject.member_id);
        let mut found = Self::default();
        for (member, email, phone) in members::sharing(tx, unique(&mut { ids })).await? {
            for (channel, address) in [(Channel::Email, email), (Channel::Sms, phone)] {
                if let Some(address) = address {
                    found.0.entry((channel, address.to_lowercase())).or_default().push(member);
                }
            }
        }
        Ok(found)
    }

    /// All of them.
    pub fn members(&self) -> impl Iterator<Item = i64> {
        self.0.values().flatten().copied()
    }
}

impl Surroundings {
    /// Reads everything the subjects' decisions rest on, beside who shares an address with them. `counts` says by name
    /// whether a campaign's messages count for the cap; `counted_after` bounds how far back they are read; `stock`, how
    /// gifts are looked at.
    pub async fn load(
        tx: &mut Tx,
        subjects: &[Subject<'_>],
        counts: &(dyn Fn(&str) -> bool + Sync),
        counted_after: Option<Instant>,
        stock: Stock,
        sharing: Sharing,
    ) -> Result<Self> {
        let ids = unique(&mut subjects.iter().map(|subject| subject.member_id));
        let mut found = Self { members: members::by_ids(tx, ids.clone()).await?, sharing, ..Self::default() };
        let orders = unique(&mut subjects.iter().filter_map(|subject| subject.purchase_id));
        if !orders.is_empty() {
            found.orders = purchases::by_ids(tx, orders).await?;
        }
        let buyers = unique(
            &mut subjects.iter().filter(|subject| watches_purchases(subject.campaign)).map(|subject| subject.member_id),
        );
        if !buyers.is_empty() {
            for (member, at) in query!(fetch_all, (i64, i64), tx, PURCHASES, Ids(buyers))? {
                found.purchases.entry(member).or_default().push(instant(at));
            }
        }
        found.load_chosen(tx, subjects).await?;
        let addresses = found.members.values().flat_map(|member| {
            [Channel::Email, Channel::Sms].into_iter().filter_map(|channel| suppression_key(member, channel))
        });
        found.suppressions = suppressions::of_addresses(tx, addresses.collect()).await?;
        found.objections = objections::of_members(tx, ids).await?;
        let capped = |subject: &&Subject<'_>| counted_after.is_some() && subject.campaign.limits.counts_for_cap;
        if let Some(after) = counted_after {
            let capped = subjects.iter().filter(capped);
            found.load_counted(tx, unique(&mut capped.map(|subject| subject.member_id)), counts, after).await?;
        }
        found.load_assigned(tx, subjects).await?;
        let audiences = subjects
            .iter()
            .filter_map(|subject| Some((&subject.campaign.audience, found.members.get(&subject.member_id)?)));
        found.audiences = AudienceFacts::load(tx, audiences, true).await?;
        found.load_greetings(tx, subjects).await?;
        found.load_first_steps(tx, subjects).await?;
        found.load_heard(tx, subjects).await?;
        found.load_close_orders(tx, subjects).await?;
        found.gifts = GiftFacts::load(tx, subjects, stock).await?;
        Ok(found)
    }

    /// Which variants are chosen, of campaigns that have some.
    async fn load_chosen(&mut self, tx: &mut Tx, subjects: &[Subject<'_>]) -> Result<()> {
        let (ids, campaigns) = keys(subjects.iter().filter(|subject| !subject.campaign.experiment.variants.is_empty()));
        if !ids.is_empty() {
            self.chosen = query!(fetch_all, (String, String), tx, CHOSEN, Texts(campaigns))?.into_iter().collect();
        }
        Ok(())
    }

    /// Whose messages stand for addresses that several members have.
    async fn load_assigned(&mut self, tx: &mut Tx, subjects: &[Subject<'_>]) -> Result<()> {
        let (ids, campaigns) =
            keys(subjects.iter().filter(|subject| subject.campaign.trigger.features().is_for_everybody));
        let asked: HashSet<i64> = ids.into_iter().collect();
        let shared = self.sharing.0.values().filter(|members| members.len() > 1);
        let mut members: Vec<i64> =
            shared.filter(|members| members.iter().any(|id| asked.contains(id))).flatten().copied().collect();
        members.sort_unstable();
        members.dedup();
        if members.is_empty() {
            return Ok(());
        }
        type Row = (i64, String, String, String, String, i64);
        for (member, campaign, occasion, step, channel, at) in
            query!(fetch_all, Row, tx, ASSIGNED, Ids(members), Texts(campaigns))?
        {
            if let Ok(channel) = channel.parse() {
                self.assigned.entry((campaign, occasion, step, channel)).or_default().insert(member, instant(at));
            }
        }
        Ok(())
    }

    /// What went out to these members and to those who share an address with them.
    async fn load_counted(
        &mut self,
        tx: &mut Tx,
        mut ids: Vec<i64>,
        counts: &(dyn Fn(&str) -> bool + Sync),
        after: Instant,
    ) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        ids.extend(self.sharing.members());
        ids.sort_unstable();
        ids.dedup();
        type Row = (i64, uuid::Uuid, String, Option<String>, i64);
        for (member, id, campaign, channel, at) in
            query!(fetch_all, Row, tx, COUNTED, Ids(ids), after.timestamp_millis())?
        {
            let channel = channel.and_then(|channel| channel.parse().ok());
            let sent = Counted { id, counts: counts(&campaign), channel, at: instant(at) };
            self.counted.entry(member).or_default().push(sent);
        }
        Ok(())
    }

    async fn load_greetings(&mut self, tx: &mut Tx, subjects: &[Subject<'_>]) -> Result<()> {
        let (ids, campaigns) = keys(subjects.iter().filter(|subject| subject.campaign.trigger.features().is_yearly));
        if ids.is_empty() {
            return Ok(());
        }
        type Row = (i64, String, String, i64);
        for (member, campaign, occasion, due) in query!(fetch_all, Row, tx, GREETINGS, Ids(ids), Texts(campaigns))? {
            self.greetings.entry((member, campaign)).or_default().push((occasion, instant(due)));
        }
        Ok(())
    }

    async fn load_first_steps(&mut self, tx: &mut Tx, subjects: &[Subject<'_>]) -> Result<()> {
        let (ids, campaigns) = keys(subjects.iter().filter(|subject| subject.is_later_step()));
        if ids.is_empty() {
            return Ok(());
        }
        type Row = (i64, String, String, String);
        for (member, campaign, occasion, reason) in query!(fetch_all, Row, tx, FIRST_STEPS, Ids(ids), Texts(campaigns))?
        {
            if let Ok(reason) = reason.parse() {
                self.first_steps.insert((member, campaign, occasion), reason);
            }
        }
        Ok(())
    }

    async fn load_heard(&mut self, tx: &mut Tx, subjects: &[Subject<'_>]) -> Result<()> {
        let listens = |campaign: &Campaign| campaign.steps.iter().any(|step| !step.unless_heard.is_empty());
        let (ids, campaigns) =
            keys(subjects.iter().filter(|subject| subject.is_later_step() && listens(subject.campaign)));
        if ids.is_empty() {
            return Ok(());
        }
        type Row = (i64, String, String, String, String, i64);
        for (member, campaign, occasion, step, kind, at) in
            query!(fetch_all, Row, tx, HEARD, Ids(ids), Texts(campaigns))?
        {
            if let Ok(kind) = kind.parse() {
                let heard = Heard { step, kind, at: instant(at) };
                self.heard.entry((member, campaign, occasion)).or_default().push(heard);
            }
        }
        Ok(())
    }

    async fn load_close_orders(&mut self, tx: &mut Tx, subjects: &[Subject<'_>]) -> Result<()> {
        let (ids, campaigns) =
            keys(subjects.iter().filter(|subject| subject.campaign.trigger.features().collapse.is_some()));
        if ids.is_empty() {
            return Ok(());
        }
        type Order = (i64, i64, String, i64);
        for (member, id, order_id, at) in query!(fetch_all, Order, tx, CLOSE_ORDERS, Ids(ids.clone()))? {
            let order = Placed { purchased_at: instant(at), order_id, id };
            self.close_orders.entry(member).or_default().push(order);
        }
        type Row = (i64, String, String, i64, String, i64);
        for (member, campaign, step, id, order_id, at) in
            query!(fetch_all, Row, tx, THANKED, Ids(ids), Texts(campaigns))?
        {
            let order = Placed { purchased_at: instant(at), order_id, id };
            self.thanked.entry((member, campaign, step)).or_default().push(order);
        }
        Ok(())
    }
}

fn unique(ids: &mut dyn Iterator<Item = i64>) -> Vec<i64> {
    let mut ids: Vec<i64> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn watches_purchases(campaign: &Campaign) -> bool {
    campaign.trigger.features().ends_with_any_purchase || campaign.steps.iter().any(|step| step.unless_goal)
}

fn keys<'a>(subjects: impl Iterator<Item = &'a Subject<'a>>) -> (Vec<i64>, Vec<String>) {
    let (mut ids, mut campaigns): (Vec<i64>, Vec<String>) =
        subjects.map(|subject| (subject.member_id, subject.campaign.name.clone())).unzip();
    ids.sort_unstable();
    ids.dedup();
    campaigns.sort_unstable();
    campaigns.dedup();
    (ids, campaigns)
}
