//! What audiences ask about a batch of members beside their own fields, read in a few statements,
//! and only what they ask for.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::messages::Message;
use super::models::{self, Fitted};
use super::objections::{self, Objections};
use super::{Ids, Result, Texts, Tx, query, rfm, statements, suppressions};
use crate::domain::audience::{Audience, Known, Paid, Uses, View};
use crate::domain::brand::Brand;
use crate::domain::member::{Member, suppression_key};
use crate::domain::message::{Channel, Purpose};
use crate::domain::rfm::Cuts;
use crate::domain::{Instant, instant};

statements! {
    PURCHASES = "SELECT member_id, purchased_at, amount, currency FROM purchases WHERE member_id {in $1} AND status = 'paid' \
        ORDER BY member_id, purchased_at";
    RECEIVED = "SELECT member_id, id, campaign, COALESCE(sent_at, queued_at) FROM messages WHERE member_id {in $1} \
        AND state IN ('queued', 'sending', 'sent', 'uncertain', 'delivered', 'bounced', 'complained') AND campaign {in $2}";
}

/// What filters need to know about some members.
#[derive(Debug, Default)]
pub struct AudienceFacts {
    purchases: HashMap<i64, Vec<Paid>>,
    /// Addresses that are closed to marketing.
    suppressed: HashSet<String>,
    objections: Objections,
    cuts: Option<Cuts>,
    models: Option<Fitted>,
    /// Messages that went out, by member, of the campaigns that are asked for; absent where that is
    /// left open.
    received: Option<HashMap<i64, Vec<Sent>>>,
    /// Those that this pass sends on their way, of the campaigns that any audience asks for.
    noted: HashMap<i64, Vec<Sent>>,
    pub watched: Arc<BTreeSet<String>>,
}

#[derive(Debug, Clone)]
struct Sent {
    message: Uuid,
    campaign: String,
    at: Instant,
}

/// The valid orders of members, by member.
async fn purchases(tx: &mut Tx, members: Vec<i64>) -> Result<HashMap<i64, Vec<Paid>>> {
    let mut all: HashMap<i64, Vec<Paid>> = HashMap::new();
    for (member, at, amount, currency) in query!(fetch_all, (i64, i64, i64, String), tx, PURCHASES, Ids(members))? {
        all.entry(member).or_default().push(Paid { at: instant(at), amount, currency });
    }
    Ok(all)
}

impl AudienceFacts {
    /// Reads what the audiences ask about the members. Without `received` it stays open what they
    /// received: a scan comes before the messages of its time.
    pub async fn load<'a>(
        tx: &mut Tx,
        asked: impl Iterator<Item = (&'a Audience, &'a Member)>,
        received: bool,
    ) -> Result<Self> {
        let (mut buyers, mut addressees, mut receivers) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        let (mut campaigns, mut wants_cuts, mut wants_models) = (BTreeSet::new(), false, false);
        // A batch has few campaigns and many members.
        let mut known: Vec<(&Audience, Uses)> = Vec::new();
        for (audience, member) in asked {
            let index = known.iter().position(|(other, _)| std::ptr::eq(*other, audience)).unwrap_or_else(|| {
                known.push((audience, audience.uses()));
                known.len() - 1
            });
            let uses = &known[index].1;
            if uses.purchases {
                buyers.insert(member.id);
            }
            if uses.suppressions {
                addressees.insert(member.id, member);
            }
            if received && !uses.received.is_empty() {
                receivers.insert(member.id);
                campaigns.extend(uses.received.iter().cloned());
            }
            wants_cuts |= uses.rfm;
            wants_models |= uses.predictions;
        }
        let mut found = Self { received: received.then(HashMap::new), ..Self::default() };
        if !buyers.is_empty() {
            found.purchases = purchases(tx, buyers.into_iter().collect()).await?;
        }
        if !addressees.is_empty() {
            let addresses = addressees
                .values()
                .flat_map(|member| Channel::ALL.iter().filter_map(|channel| suppression_key(member, *channel)));
            let closed = suppressions::of_addresses(tx, addresses.collect()).await?;
            let marketing = closed.into_iter().filter(|(_, purpose)| purpose == Purpose::Marketing.as_str());
            found.suppressed = marketing.map(|(address, _)| address).collect();
            found.objections = objections::of_members(tx, addressees.keys().copied().collect()).await?;
        }
        if wants_cuts {
            found.cuts = rfm::current(tx).await?.map(|fitted| fitted.cuts);
        }
        if wants_models {
            found.models = models::newest(tx).await?;
        }
        if let Some(all) = found.received.as_mut().filter(|_| !receivers.is_empty()) {
            let (ids, campaigns) = (Ids(receivers.into_iter().collect()), Texts(campaigns.into_iter().collect()));
            type Row = (i64, Uuid, String, i64);
            for (member, message, campaign, at) in query!(fetch_all, Row, tx, RECEIVED, ids, campaigns)? {
                all.entry(member).or_default().push(Sent { message, campaign, at: instant(at) });
            }
        }
        Ok(found)
    }

    /// A member as its audience sees it at an instant. A message is not asked about itself: `except`.
    pub fn view<'a>(&'a self, member: &'a Member, brand: &'a Brand, at: Instant, except: Option<Uuid>) -> View<'a> {
        let closed = |channel: &Channel| {
            suppression_key(member, *channel).is_some_and(|address| self.suppressed.contains(&address))
                || self.objections.contains(&(member.id, *channel, Purpose::Marketing))
        };
        let received = self.received.as_ref().map(|all| {
            let sent = all.get(&member.id).into_iter().chain(self.noted.get(&member.id)).flatten();
            let others = sent.filter(|sent| Some(sent.message) != except);
            others.map(|sent| (sent.campaign.as_str(), sent.at)).collect()
        });
        let known = Known {
            purchases: self.purchases.get(&member.id).map_or(&[], Vec::as_slice),
            suppressed: Channel::ALL.iter().copied().filter(closed).collect(),
            received,
            cuts: self.cuts.as_ref(),
            models: self.models.as_ref().map(|fitted| fitted.models(&brand.currency)),
        };
        View { member, brand, at, known }
    }

    /// Lets later decisions of the same pass see a message that this one sends on its way.
    pub(super) fn note_sent(&mut self, message: &Message, at: Instant) {
        if !self.watched.contains(&message.campaign) {
            return;
        }
        let sent = Sent { message: message.id, campaign: message.campaign.clone(), at };
        self.noted.entry(message.member_id).or_default().push(sent);
    }

    /// Takes over what an earlier batch of the same pass sent on its way.
    pub(super) fn carry_over(&mut self, earlier: Self) {
        // The smaller goes into the larger.
        let noted = std::mem::replace(&mut self.noted, earlier.noted);
        for (member, sent) in noted {
            self.noted.entry(member).or_default().extend(sent);
        }
    }
}
