//! What people changed: who, what, when. A line is written in the transaction of its change.

use serde::Serialize;
use uuid::Uuid;

use super::{Result, Tx, execute, query, statements};
use crate::domain::Instant;

statements! {
    ADD = "INSERT INTO audit (id, at, who, what, campaign, member_id, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    // Versions and proposals say themselves who made them.
    LIST = "SELECT t.at, t.who, t.what, t.campaign, t.member, t.detail FROM (\
        SELECT a.at, a.who, a.what, a.campaign, CASE WHEN e.deleted_at IS NULL THEN e.external_id END AS member, a.detail \
        FROM audit a LEFT JOIN members e ON e.id = a.member_id \
        UNION ALL SELECT v.made_at, v.author, 'version_made', CAST(NULL AS TEXT), CAST(NULL AS TEXT), v.version || ': ' || v.message \
        FROM versions v \
        UNION ALL SELECT p.made_at, p.author, 'proposal_made', CAST(NULL AS TEXT), CAST(NULL AS TEXT), p.proposal || ': ' || p.message \
        FROM proposals p) t \
        WHERE t.at >= $1 AND t.at < $2 AND (CAST($3 AS TEXT) = '' OR t.campaign = $3) ORDER BY t.at DESC, t.what, t.detail LIMIT $4";
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    CampaignPaused,
    CampaignResumed,
    AllPaused,
    AllResumed,
    CampaignApproved,
    VariantChosen,
    ProposalWithdrawn,
    MemberErased,
    MemberReadmitted,
    MembersMerged,
    MemberPaused,
    MemberResumed,
    ConsentGiven,
    ConsentWithdrawn,
    AddressClosed,
    AddressOpened,
    MessagesCancelled,
    MessagesRetried,
    RepliesRead,
}

impl Deed {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CampaignPaused => "campaign_paused",
            Self::CampaignResumed => "campaign_resumed",
            Self::AllPaused => "all_paused",
            Self::AllResumed => "all_resumed",
            Self::CampaignApproved => "campaign_approved",
            Self::VariantChosen => "variant_chosen",
            Self::ProposalWithdrawn => "proposal_withdrawn",
            Self::MemberErased => "member_erased",
            Self::MemberReadmitted => "member_readmitted",
            Self::MembersMerged => "members_merged",
            Self::MemberPaused => "member_paused",
            Self::MemberResumed => "member_resumed",
            Self::ConsentGiven => "consent_given",
            Self::ConsentWithdrawn => "consent_withdrawn",
            Self::AddressClosed => "address_closed",
            Self::AddressOpened => "address_opened",
            Self::MessagesCancelled => "messages_cancelled",
            Self::MessagesRetried => "messages_retried",
            Self::RepliesRead => "replies_read",
        }
    }
}

/// A line to write. What names a person stands in no other field than the member's key: who is erased is named nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    pub who: &'a str,
    pub what: Deed,
    pub campaign: Option<&'a str>,
    pub member: Option<i64>,
    /// How many, which, until when, why.
    pub detail: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// About nothing in particular.
    pub const fn new(who: &'a str, what: Deed) -> Self {
        Self { who, what, campaign: None, member: None, detail: None }
    }
}

/// Writes a line, under an id that sorts by time.
pub async fn add(tx: &mut Tx, id: Uuid, line: &Line<'_>, now: Instant) -> Result<()> {
    let Line { who, what, campaign, member, detail } = *line;
    execute!(tx, ADD, id, now.timestamp_millis(), who, what.as_str(), campaign, member, detail)?;
    Ok(())
}

/// A line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Listed {
    /// Epoch milliseconds.
    pub at: i64,
    pub who: String,
    pub what: String,
    pub campaign: Option<String>,
    /// By external id; none where they were erased.
    pub member: Option<String>,
    pub detail: Option<String>,
}

/// The last lines from one instant up to another, the newest first; of one campaign where one is named.
pub async fn list(
    tx: &mut Tx,
    (from, to): (Instant, Instant),
    campaign: Option<&str>,
    limit: i64,
) -> Result<Vec<Listed>> {
    let (from, to) = (from.timestamp_millis(), to.timestamp_millis());
    Ok(query!(fetch_all, Listed, tx, LIST, from, to, campaign.unwrap_or_default(), limit)?)
}
