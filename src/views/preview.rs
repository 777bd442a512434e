//! A campaign's message as one member would get it.

use chrono::{DateTime, Duration};
use chrono_tz::Tz;
use uuid::Uuid;

use super::{ViewError, occasions};
use crate::catalog::Catalog;
use crate::document::expected;
use crate::domain::brand::Brand;
use crate::domain::campaign::{Campaign, MAIN, Step};
use crate::domain::gift::Gift;
use crate::domain::member::Member;
use crate::domain::message::{Channel, Content};
use crate::domain::purchase::Purchase;
use crate::domain::track::Track;
use crate::domain::{Instant, address, phone};
use crate::rendering::{Variables, sample};
use crate::store::{Store, StoreError, Tx, configuration, gifts};

/// How far back and ahead the member's nearest occasion is looked for.
const AROUND: Duration = Duration::days(400);

/// Which message is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub campaign: &'a Campaign,
    /// The step's id.
    pub step: &'a str,
    /// Instead of the member's own.
    pub variant: Option<&'a str>,
    /// The member's external id.
    pub member: &'a str,
    /// `None`: the first on which the member has an address.
    pub channel: Option<Channel>,
    /// A test address or number that it is for, as somebody wrote it.
    pub to: Option<&'a str>,
}

/// A rendered message.
#[derive(Debug)]
pub struct Preview {
    pub channel: Channel,
    pub content: Content,
    /// When its occasion is due, on the member's clock; absent where the values are made up.
    pub due_at: Option<DateTime<Tz>>,
    /// Whether the member has an address on this channel.
    pub has_address: bool,
    /// The test address or number, as it is written to.
    pub to: Option<String>,
}

/// Renders the message of the member's nearest occasion, or of a made-up one where there is none.
pub async fn preview(store: &Store, catalog: &Catalog, wanted: Wanted<'_>, now: Instant) -> Result<Preview, ViewError> {
    let campaign = wanted.campaign;
    let mut tx = store.read().await?;
    let member = super::member(&mut tx, wanted.member).await?;
    let step = step(campaign, &wanted, &member, &catalog.brand)?;
    // A member's own code goes to nobody else.
    let own_gift = wanted.to.is_none();
    let nearest = nearest(&mut tx, catalog, campaign, step, &member, own_gift, now).await?;
    tx.commit().await?;
    let due_at = nearest.as_ref().map(|nearest| nearest.due_at.with_timezone(&member.zone(&catalog.brand)));
    let occasion = nearest.unwrap_or_else(|| made_up(catalog, campaign, step, now));
    let channel = wanted.channel.unwrap_or_else(|| reachable(campaign, &member));
    let to = wanted.to.map(|to| test_address(catalog, channel, to)).transpose()?;
    let own = member.address(channel);
    let nobody = || catalog.brand.sms.starts().first().copied().unwrap_or_default();
    let address = to.as_deref().or(own).unwrap_or_else(nobody);
    let variables = variables(catalog, campaign, step, &member, &occasion);
    let content = catalog.content(campaign, step, channel, address, &variables)?;
    Ok(Preview { channel, content, due_at, has_address: own.is_some(), to })
}

/// The step as the variant has it that is asked for, else as members of the member's arm get it.
fn step<'a>(
    campaign: &'a Campaign,
    wanted: &Wanted<'_>,
    member: &Member,
    brand: &Brand,
) -> Result<&'a Step, ViewError> {
    if let Some(name) = wanted.variant.filter(|name| campaign.variant(wanted.step, Some(name)).is_none()) {
        let names = campaign.experiment.variants.iter().filter(|_| wanted.step == MAIN);
        let known: Vec<&str> = names.map(|variant| variant.name.as_str()).collect();
        let hint = if known.is_empty() { "it has none".to_owned() } else { expected(name, &known) };
        return Err(ViewError::NoVariant { step: wanted.step.to_owned(), variant: name.to_owned(), hint });
    }
    let arm = campaign.assignment(member, brand, None).arm;
    campaign.step(wanted.step, wanted.variant.or(arm.as_deref())).ok_or_else(|| {
        let known: Vec<&str> = campaign.steps.iter().map(|step| step.id.as_str()).collect();
        let hint = expected(wanted.step, &known);
        ViewError::NoStep { campaign: campaign.name.clone(), step: wanted.step.to_owned(), hint }
    })
}

/// The first channel on which the member has an address, or simply the first.
fn reachable(campaign: &Campaign, member: &Member) -> Channel {
    let reachable = campaign.channels.iter().copied().find(|channel| member.address(*channel).is_some());
    reachable.unwrap_or(campaign.channels[0])
}

/// What a message says of its occasion.
struct Occasion {
    due_at: Instant,
    years: Option<i64>,
    order: Option<Purchase>,
    gift: Option<Gift>,
}

/// The member's occasion of this step that is nearest to `now`.
async fn nearest(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    step: &Step,
    member: &Member,
    own_gift: bool,
    now: Instant,
) -> Result<Option<Occasion>, StoreError> {
    let states = configuration::states(tx).await?;
    let state = states.get(&campaign.name);
    let found = occasions::of_member(tx, catalog, campaign, state, member, now, (AROUND, AROUND)).await?;
    let of_step = found.into_iter().filter(|found| found.message.step == step.id);
    let nearest = of_step.min_by_key(|found| ((found.message.due_at - now).abs(), found.message.id));
    let Some(nearest) = nearest else { return Ok(None) };
    let message = nearest.message;
    let given = if own_gift { gifts::of_message(tx, &message, campaign).await? } else { None };
    Ok(Some(Occasion {
        due_at: message.due_at,
        years: message.years,
        order: nearest.candidate.order,
        gift: given.or_else(|| sample_gift(step, message.due_at)),
    }))
}

fn made_up(catalog: &Catalog, campaign: &Campaign, step: &Step, now: Instant) -> Occasion {
    let kind = campaign.trigger.kind();
    Occasion {
        due_at: now,
        years: (kind == "anniversary").then_some(1),
        order: matches!(kind, "post_purchase" | "at_risk").then(|| sample::order(&catalog.brand)),
        gift: sample_gift(step, now),
    }
}

/// Nothing is taken out of a pool for a look.
fn sample_gift(step: &Step, due_at: Instant) -> Option<Gift> {
    Some(sample::gift(step.gift.as_ref()?, due_at.date_naive()))
}

fn variables<'a>(
    catalog: &'a Catalog,
    campaign: &'a Campaign,
    step: &'a Step,
    member: &'a Member,
    occasion: &'a Occasion,
) -> Variables<'a> {
    Variables {
        brand: &catalog.brand,
        member,
        campaign: &campaign.name,
        message: Uuid::nil(),
        tokens: &catalog.tokens,
        // What somebody does with a preview is nobody's opening.
        track: Track::default(),
        step: &step.id,
        due_at: occasion.due_at,
        years: occasion.years,
        order: occasion.order.as_ref(),
        gift: occasion.gift.as_ref(),
    }
}

fn test_address(catalog: &Catalog, channel: Channel, to: &str) -> Result<String, ViewError> {
    let parsed = match channel {
        Channel::Email => address::parse(to),
        Channel::Sms => phone::parse(to, catalog.brand.phone_region),
    };
    parsed.map_err(|error| ViewError::BadAddress(error.to_string()))
}
