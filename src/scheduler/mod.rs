//! The scheduler: scans. A scan asks a campaign's trigger which occasions are due and inserts their
//! messages, page by page; the cursor moves when all are in. Rows that exist
//! are left alone, so a scan may be repeated, and two may run at once.

use std::borrow::Cow;

use chrono::Duration;
use chrono_tz::Tz;
use metrics::counter;
use uuid::Uuid;

use crate::catalog::{Catalog, starts_at};
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::calendar::{local_day, next_local_time};
use crate::domain::campaign::{Campaign, Status};
use crate::domain::message::{Reason, State};
use crate::domain::occasion::{Candidate, Rows};
use crate::domain::policy::{Late, first_attempt_at};
use crate::store::audience_facts::AudienceFacts;
use crate::store::configuration::{self, CampaignState, Cursor};
use crate::store::leases::{self, Lease};
use crate::store::ledger::{end, plan};
use crate::store::messages::NewMessage;
use crate::store::occasions::{self, Position};
use crate::store::{Store, StoreError, Tx, members, models, volumes, within};

pub mod backfill;

/// Candidates that a plan or a backfill reads at once, and so holds in memory. The database looks at all that are left
/// for each page, so that many small ones cost more than a few large ones.
pub const PAGE: i64 = 20_000;

/// The same of a scan, which holds two at a time, and dispatchers and senders share its process.
const SCANNED: i64 = 8_000;

/// Rows inserted in one transaction.
const ROWS: usize = 5_000;

/// Quiet hours and days of rest can let a message go so much later.
const STILL_GOING: Duration = Duration::days(4);

/// A cursor that has not moved yet stands here before `starts_at`.
const JUST_BEFORE: Duration = Duration::milliseconds(1);

/// What one scan did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Messages that are new, or came back into the audience.
    pub inserted: u64,
    /// Candidates looked at.
    pub candidates: u64,
}

/// Brings every live campaign up to `until`: what fell due since its cursor, and older occasions of
/// members that changed since.
pub async fn scan(store: &Store, catalog: &Catalog, clock: &Clock, until: Instant) -> Result<Scanned, StoreError> {
    let mut total = Scanned::default();
    for campaign in live(catalog) {
        total.add(scan_campaign(store, catalog, clock, campaign, until, None).await?.unwrap_or_default());
    }
    Ok(total)
}

/// The campaigns that a scan looks at.
pub fn live(catalog: &Catalog) -> impl Iterator<Item = &Campaign> {
    catalog.campaigns.values().map(AsRef::as_ref).filter(|campaign| campaign.status == Status::Live)
}

/// [`scan`] for one campaign. Who leads under a lease renews it with each page; `None` means that it
/// leads no longer, and has left the rest to whoever does.
pub async fn scan_campaign(
    store: &Store,
    catalog: &Catalog,
    clock: &Clock,
    campaign: &Campaign,
    until: Instant,
    lease: Option<&Lease>,
) -> Result<Option<Scanned>, StoreError> {
    let (campaign, state, change) = within(read_state(store, campaign)).await?;
    let campaign = campaign.as_ref();
    let Some(starts) = starts_at(campaign, state.as_ref()) else { return Ok(Some(Scanned::default())) };
    let from = state.as_ref().and_then(|state| state.cursor.scanned_to).map_or(starts, |at| at + JUST_BEFORE);
    let takes_up = backfill::is_due(campaign, state.as_ref(), starts, from, until + JUST_BEFORE);
    let cursor = state.map_or(Cursor { scanned_to: None, seen_change: 0 }, |state| state.cursor);
    let after = cursor.scanned_to.unwrap_or(starts - JUST_BEFORE).max(starts - JUST_BEFORE);
    let mut scan = Scan::begin(store, catalog, clock, campaign, starts, lease).await?;
    if takes_up {
        scan.backfill().await?;
    }
    if until > after {
        scan.due(after, until).await?;
    }
    // Without a cursor everything was just looked at.
    if cursor.scanned_to.is_some() && change > cursor.seen_change {
        scan.changed(cursor.seen_change, change, until.min(after.max(until))).await?;
    }
    let reached = Cursor { scanned_to: Some(cursor.scanned_to.map_or(until, |at| at.max(until))), seen_change: change };
    scan.finish(Some((cursor, reached))).await
}

/// Inserts what falls due in [from, to), whatever the cursors say; they move only where the window
/// joins on to them. For `once --from --to`.
pub async fn scan_window(
    store: &Store,
    catalog: &Catalog,
    clock: &Clock,
    from: Instant,
    to: Instant,
) -> Result<Scanned, StoreError> {
    let mut total = Scanned::default();
    let (after, until) = (from - JUST_BEFORE, to - JUST_BEFORE);
    for campaign in live(catalog) {
        let (campaign, state, _) = read_state(store, campaign).await?;
        let campaign = campaign.as_ref();
        let Some(starts) = starts_at(campaign, state.as_ref()) else { continue };
        let mut scan = Scan::begin(store, catalog, clock, campaign, starts, None).await?;
        if backfill::is_due(campaign, state.as_ref(), starts, from, to) {
            scan.backfill().await?;
        }
        scan.due(after, until).await?;
        let joined = state
            .map(|state| state.cursor)
            .filter(|cursor| cursor.scanned_to.is_some_and(|at| after <= at && at < until));
        let moved = joined.map(|cursor| (cursor, Cursor { scanned_to: Some(until), ..cursor }));
        total.add(scan.finish(moved).await?.unwrap_or_default());
    }
    Ok(total)
}

/// The campaign under the model of now, its state, and the last change number.
async fn read_state<'c>(
    store: &Store,
    campaign: &'c Campaign,
) -> Result<(Cow<'c, Campaign>, Option<CampaignState>, i64), StoreError> {
    let mut tx = store.read().await?;
    // The change number first: a later change is seen again by the next scan, never missed.
    let change = configuration::change(&mut tx).await?;
    let state = configuration::states(&mut tx).await?.remove(&campaign.name);
    let campaign = models::informed(&mut tx, campaign).await?;
    tx.commit().await?;
    Ok((campaign, state, change))
}

impl Scanned {
    fn add(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.candidates += other.candidates;
    }
}

/// A scan under way. Nothing of the campaign is dispatched until it has finished.
struct Scan<'a> {
    store: &'a Store,
    catalog: &'a Catalog,
    clock: &'a Clock,
    campaign: &'a Campaign,
    starts: Instant,
    id: String,
    done: Scanned,
    lease: Option<&'a Lease>,
    /// Somebody else leads by now, and scans the same: nothing more is written.
    deposed: bool,
}

impl<'a> Scan<'a> {
    async fn begin(
        store: &'a Store,
        catalog: &'a Catalog,
        clock: &'a Clock,
        campaign: &'a Campaign,
        starts: Instant,
        lease: Option<&'a Lease>,
    ) -> Result<Self, StoreError> {
        let (id, done) = (clock.new_id().to_string(), Scanned::default());
        let mut scan = Self { store, catalog, clock, campaign, starts, id, done, lease, deposed: false };
        within(scan.mark()).await?;
        Ok(scan)
    }

    async fn mark(&mut self) -> Result<(), StoreError> {
        let mut tx = self.store.begin_relaxed().await?;
        if self.leads(&mut tx).await? {
            configuration::mark_scanning(&mut tx, &self.campaign.name, &self.id).await?;
        }
        tx.commit().await
    }

    /// Whether this scan may write in the transaction. A leader that was paused while another took over
    /// learns it here, whatever it believes.
    async fn leads(&mut self, tx: &mut Tx) -> Result<bool, StoreError> {
        if let Some(lease) = self.lease
            && !self.deposed
        {
            self.deposed = !leases::keep(tx, lease).await?;
        }
        Ok(!self.deposed)
    }

    /// Inserts what the campaign takes up of the time before it began, all of it or nothing.
    async fn backfill(&mut self) -> Result<(), StoreError> {
        let (catalog, campaign, starts) = (self.catalog, self.campaign, self.starts);
        let mut tx = self.store.read().await?;
        let ranked = backfill::ranked(&mut tx, catalog, campaign, starts).await?;
        tx.commit().await?;
        let mut tx = self.store.begin_relaxed().await?;
        if !self.leads(&mut tx).await? || !configuration::mark_backfilled(&mut tx, &campaign.name).await? {
            return Ok(());
        }
        for (page, taken) in ranked.chunks(PAGE as usize).enumerate() {
            let first = page * PAGE as usize;
            let new_id = || self.clock.new_id();
            let new = backfill::messages(&mut tx, catalog, campaign, starts, (first, taken), new_id).await?;
            self.done.inserted += plan::insert(&mut tx, &new).await?;
        }
        tx.commit().await?;
        self.done.candidates += ranked.len() as u64;
        Ok(())
    }

    /// Inserts what falls due in (after, until].
    async fn due(&mut self, after: Instant, until: Instant) -> Result<(), StoreError> {
        if !self.hour_comes(after, until).await? {
            return Ok(());
        }
        for step in 0..self.campaign.steps.len() {
            let (base_after, base_until) = self.campaign.base_window(step, after, until);
            let rows = Rows::Base { after: base_after, until: base_until };
            self.pages(
                rows,
                &|due: &Due| due.step == step && after < due.due_at && due.due_at <= until,
                base_after,
                base_until,
            )
            .await?;
        }
        Ok(())
    }

    /// Whether it can be the campaign's hour for anybody in (after, until]: a scan between the hours of all
    /// zones has no candidates to look at.
    async fn hour_comes(&self, after: Instant, until: Instant) -> Result<bool, StoreError> {
        let Some(time) = self.campaign.send_at.filter(|_| self.campaign.spread.is_zero()) else { return Ok(true) };
        let first = after + JUST_BEFORE;
        let comes = |zone: Tz| next_local_time(zone, first, time) <= until;
        if comes(self.catalog.brand.timezone) {
            return Ok(true);
        }
        let mut tx = self.store.read().await?;
        let zones = members::zones(&mut tx).await?;
        tx.commit().await?;
        Ok(zones.into_iter().any(comes))
    }

    /// Inserts older occasions of members that changed.
    async fn changed(&mut self, after: i64, until_change: i64, until: Instant) -> Result<(), StoreError> {
        let last = self.campaign.steps.len() - 1;
        let (base_after, _) = self.campaign.base_window(last, self.starts - JUST_BEFORE, until);
        let rows = Rows::Changed { after, until: until_change };
        self.pages(rows, &|due: &Due| due.due_at <= until, base_after, until).await
    }

    async fn pages(
        &mut self,
        rows: Rows,
        wanted: &(dyn Fn(&Due) -> bool + Sync),
        base_after: Instant,
        base_until: Instant,
    ) -> Result<(), StoreError> {
        let brand = &self.catalog.brand;
        let finds_changed = matches!(rows, Rows::Changed { .. });
        let Some(query) = self.campaign.trigger.query(rows, brand) else { return Ok(()) };
        let (store, catalog, clock, campaign, starts) =
            (self.store, self.catalog, self.clock, self.campaign, self.starts);
        let read = async |from: Option<Position>| {
            let Some(from) = from else { return Ok(None) };
            let page = async {
                let mut tx = store.read().await?;
                let (candidates, next) = occasions::page(&mut tx, &query, from, SCANNED).await?;
                let base = (base_after, base_until);
                let mut new_id = || clock.new_id();
                let found =
                    due_messages(&mut tx, campaign, &candidates, base, starts, catalog, wanted, &mut new_id).await?;
                tx.commit().await?;
                Ok::<_, StoreError>((candidates.len() as u64, found, next))
            };
            within(page).await.map(Some)
        };
        let mut page = read(Some(occasions::START)).await?;
        while let Some((candidates, found, next)) = page
            && !self.deposed
        {
            self.done.candidates += candidates;
            let outside = if finds_changed { found.outside() } else { Vec::new() };
            // While one page is written the next is read.
            let (written, following) = tokio::join!(self.insert(outside, &found.rows), read(next));
            written?;
            page = following?;
        }
        Ok(())
    }

    /// Inserts rows, after ending those that are outside the audience by now.
    async fn insert(&mut self, outside: Vec<&NewMessage>, new: &[NewMessage]) -> Result<(), StoreError> {
        if !outside.is_empty() || self.lease.is_some() {
            within(self.withdraw(outside)).await?;
        }
        for rows in new.chunks(ROWS) {
            within(self.insert_rows(rows)).await?;
        }
        Ok(())
    }

    async fn withdraw(&mut self, outside: Vec<&NewMessage>) -> Result<(), StoreError> {
        let mut tx = self.store.begin_relaxed().await?;
        if self.leads(&mut tx).await? {
            end::withdraw(&mut tx, outside).await?;
        }
        tx.commit().await
    }

    async fn insert_rows(&mut self, rows: &[NewMessage]) -> Result<(), StoreError> {
        let mut tx = self.store.begin_relaxed().await?;
        if self.leads(&mut tx).await? {
            self.done.inserted += plan::insert(&mut tx, rows).await?;
        }
        tx.commit().await
    }

    /// Lets the campaign's messages go, or holds them all when there are more than its ceiling. A scan
    /// that was deposed leaves that to the leader's.
    async fn finish(mut self, cursor: Option<(Cursor, Cursor)>) -> Result<Option<Scanned>, StoreError> {
        within(self.end(cursor)).await?;
        let name = &self.campaign.name;
        if self.deposed {
            tracing::info!(campaign = %name, "another process leads by now; this scan stops");
            return Ok(None);
        }
        counter!("rekindle_scans_total", "campaign" => name.clone()).increment(1);
        counter!("rekindle_planned_total", "campaign" => name.clone()).increment(self.done.inserted);
        if self.done.inserted > 0 {
            tracing::info!(campaign = %name, inserted = self.done.inserted, "scanned");
        }
        Ok(Some(self.done))
    }

    async fn end(&mut self, cursor: Option<(Cursor, Cursor)>) -> Result<(), StoreError> {
        let name = &self.campaign.name;
        let mut tx = self.store.begin_relaxed().await?;
        if self.leads(&mut tx).await? {
            if let Some((from, to)) = cursor
                && from != to
                && !configuration::move_cursor(&mut tx, name, from, to).await?
            {
                tracing::info!(campaign = %name, "another scan was faster");
            }
            let (limits, now) = (&self.campaign.limits, self.clock.now());
            // A letter to everybody has no usual days.
            let usual = if self.campaign.trigger.features().is_for_everybody {
                None
            } else {
                volumes::usual(&mut tx, name, now).await?
            };
            let too_late = match limits.late {
                Late::SendWithin(within) => now - within - STILL_GOING,
                Late::Always => Instant::UNIX_EPOCH,
            };
            let limit = limits.a_day(usual);
            let held = configuration::end_scanning(&mut tx, name, &self.id, limit, (too_late, now)).await?;
            if held && self.done.inserted > 0 {
                tracing::warn!(campaign = %name, limit, usual, "held: it would send more than that in a day; `campaigns approve` lets it go");
            }
        }
        tx.commit().await
    }
}

/// What [`due_messages`] finds.
#[derive(Debug, Default)]
pub struct DueRows {
    pub rows: Vec<NewMessage>,
    /// Outside the audience of a campaign for everybody: a broadcast to a few would leave a row for all the
    /// others. Without that row a later step asks by itself whether the first one ended the occasion.
    pub without_row: Vec<NewMessage>,
}

impl DueRows {
    fn outside(&self) -> Vec<&NewMessage> {
        let skipped = self.rows.iter().filter(|row| row.state == State::Skipped);
        skipped.chain(&self.without_row).collect()
    }
}

/// The rows of the candidates' steps that are wanted, with the audience judged at their due instants.
#[expect(clippy::too_many_arguments, reason = "the scheduler's and plan's one way to rows")]
pub async fn due_messages(
    tx: &mut Tx,
    campaign: &Campaign,
    candidates: &[Candidate],
    (base_after, base_until): (Instant, Instant),
    starts: Instant,
    catalog: &Catalog,
    wanted: &(dyn Fn(&Due) -> bool + Sync),
    new_id: &mut (dyn FnMut() -> Uuid + Send),
) -> Result<DueRows, StoreError> {
    let mut found = Vec::new();
    for candidate in candidates {
        let dues = dues(campaign, candidate, base_after, base_until, starts, catalog);
        found.extend(dues.into_iter().filter(wanted).map(|due| (candidate, due)));
    }
    let asked = found.iter().map(|(candidate, _)| (&campaign.audience, &candidate.member));
    // What they receive by then is decided when their turn comes.
    let audiences = AudienceFacts::load(tx, asked, false).await?;
    let mut new = Vec::new();
    for (candidate, due) in found {
        due.messages(campaign, candidate, catalog, &audiences, &mut new, &mut *new_id);
    }
    let is_for_everybody = campaign.trigger.features().is_for_everybody;
    let (rows, without_row) = new.into_iter().partition(|row| row.state == State::Planned || !is_for_everybody);
    Ok(DueRows { rows, without_row })
}

/// One step of one occasion.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Position of the step in the campaign.
    pub step: usize,
    pub occasion: String,
    pub years: Option<i64>,
    pub first_due_at: Instant,
    pub due_at: Instant,
}

/// Every step of a candidate's occasions whose base instant lies in (after, until], and whose first
/// step is due within the campaign's time.
pub fn dues(
    campaign: &Campaign,
    candidate: &Candidate,
    after: Instant,
    until: Instant,
    starts: Instant,
    catalog: &Catalog,
) -> Vec<Due> {
    let mut all = Vec::new();
    for occasion in campaign.trigger.occasions(candidate, after, until, &catalog.brand) {
        let chain = campaign.due_instants(occasion.base, &candidate.member, &catalog.brand);
        let Some(first) = chain.first().copied() else { continue };
        if first < starts || campaign.ends_at.is_some_and(|ends| first >= ends) {
            continue;
        }
        for (step, due_at) in chain.into_iter().enumerate() {
            all.push(Due { step, occasion: occasion.key.clone(), years: occasion.years, first_due_at: first, due_at });
        }
    }
    all
}

impl Due {
    /// The rows for this step, one a slot.
    pub fn messages(
        self,
        campaign: &Campaign,
        candidate: &Candidate,
        catalog: &Catalog,
        audiences: &AudienceFacts,
        out: &mut Vec<NewMessage>,
        mut new_id: impl FnMut() -> Uuid,
    ) {
        let brand = &catalog.brand;
        let member = &candidate.member;
        let inside_at =
            |at: Instant| campaign.audience.verdict(&audiences.view(member, brand, at, None)) != Some(false);
        let inside =
            inside_at(self.due_at) && (!campaign.trigger.features().is_for_everybody || inside_at(self.first_due_at));
        let next_at = first_attempt_at(&campaign.rules(brand), self.due_at, member.zone(brand));
        for (position, slot) in campaign.slots().into_iter().enumerate() {
            out.push(NewMessage {
                id: new_id(),
                member_id: member.id,
                campaign: campaign.name.clone(),
                occasion: self.occasion.clone(),
                step: campaign.steps[self.step].id.clone(),
                slot,
                purchase_id: candidate.order.as_ref().map(|order| order.id),
                years: self.years,
                priority: campaign.limits.priority,
                turn: (self.step * campaign.channels.len() + position) as i64,
                state: if inside { State::Planned } else { State::Skipped },
                reason: (!inside).then_some(Reason::OutsideAudience),
                first_due_at: self.first_due_at.timestamp_millis(),
                due_at: self.due_at.timestamp_millis(),
                next_at: next_at.timestamp_millis(),
                day: local_day(brand.timezone, self.due_at),
            });
        }
    }
}
