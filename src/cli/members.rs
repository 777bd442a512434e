//! `members show|erase|readmit|merge|pause|resume|consent`.

use clap::Subcommand;
use serde::Serialize;

use super::output::{self, Format};
use super::{CommandError, Result, Session, instant_of, rfc3339};
use crate::actions::members;
use crate::app::author;
use crate::domain::instant;
use crate::domain::member::{Member, suppression_key};
use crate::domain::message::Channel;
use crate::store::{Tx, consents, erasure, members as stored, messages, objections, purchases, suppressions};

#[derive(Debug, Subcommand)]
pub(super) enum Members {
    /// Show what the store holds of a member: fields, other names, consents, objections.
    Show {
        /// The member's external id, or another name.
        id: String,
    },
    /// Remove what names a member, for ever; from then on files bring them back only after `readmit`.
    ///
    /// What stays is a keyed hash of the ids and addresses, so that nobody writes to them, and rows of the ledger that
    /// name nobody, so that reports count what they counted. Messages that were written to a folder, rejects files,
    /// logs of servers and backups are yours to clean.
    Erase {
        /// The member's external id, or another name.
        id: String,
    },
    /// Let files bring an erased member in again, under the id that was erased.
    Readmit {
        /// The external id that was erased.
        id: String,
    },
    /// Make one member another name of a second one: `members merge guest-5 INTO acct-5`.
    ///
    /// Orders, messages, gifts, objections and consents go over (of two answers the later holds); where both have a
    /// message for one occasion, that of the second stays. The fields of the first go, those of the second stay. Every
    /// later file that says the first means the second.
    Merge {
        /// The member that becomes a name.
        from: String,
        /// The word INTO.
        #[arg(value_parser = ["INTO"], ignore_case = true, hide_possible_values = true, value_name = "INTO")]
        word: String,
        /// The member who stays.
        into: String,
    },
    /// Keep marketing from a member for a while; what they get as service goes on.
    Pause {
        /// The member's external id, or another name.
        id: String,
        /// Until this instant, such as 2027-03-21 [default: in 30 days].
        #[arg(long, value_name = "T")]
        until: Option<String>,
    },
    /// End a member's pause.
    Resume {
        /// The member's external id, or another name.
        id: String,
    },
    /// Write down that a member consents to a channel, or no longer does.
    ///
    /// A yes with its evidence also takes back what they objected to before, and opens an address that they closed
    /// themselves; never one that bounced or complained.
    Consent {
        /// The member's external id, or another name.
        id: String,
        /// By which channel.
        #[arg(value_parser = |text: &str| text.parse::<Channel>())]
        channel: Channel,
        /// Whether they consent.
        answer: Answer,
        /// Where and by what words they said so; a yes needs it.
        #[arg(long, value_name = "TEXT")]
        evidence: Option<String>,
        /// When they said it [default: now].
        #[arg(long, value_name = "T")]
        at: Option<String>,
    },
}

/// What a member said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Answer {
    Yes,
    No,
}

/// How long a pause is if nobody says it.
const PAUSE: chrono::Duration = chrono::Duration::days(30);

#[derive(Serialize)]
struct Shown {
    external_id: String,
    other_names: Vec<String>,
    fields: Vec<(&'static str, String)>,
    attributes: std::collections::BTreeMap<String, String>,
    orders: i64,
    messages: usize,
    paused_until: Option<String>,
    consents: Vec<Consent>,
    objections: Vec<Objection>,
    suppressions: Vec<Suppression>,
}

#[derive(Serialize)]
struct Consent {
    channel: String,
    given: bool,
    at: String,
    source: String,
    evidence: Option<String>,
}

#[derive(Serialize)]
struct Objection {
    channel: String,
    purpose: String,
    reason: String,
    at: String,
}

#[derive(Serialize)]
struct Suppression {
    channel: &'static str,
    purpose: String,
    reason: String,
}

impl Members {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        let who = author();
        let by = app.by(&who);
        let said = match self {
            Self::Show { id } => {
                let mut tx = app.store.read().await?;
                let member = stored::by_external_id(&mut tx, &id).await?.ok_or_else(|| unknown(&id))?;
                let shown = shown(&mut tx, member).await?;
                tx.commit().await?;
                return match session.format {
                    Format::Table => show(&shown),
                    Format::Json | Format::Csv => output::json(&shown),
                };
            }
            Self::Erase { id } => {
                members::erase(by, &id).await?;
                format!("{id} is erased. Files bring them back only after `rekindle members readmit {id}`.")
            }
            Self::Readmit { id } => {
                members::readmit(by, &id).await?;
                format!(
                    "{id} may be written down again: the next file of members brings them in. What they objected to stays."
                )
            }
            Self::Merge { from, into, .. } => match members::merge(by, &from, &into).await? {
                true => format!("{from} is another name of {into} now."),
                false => format!("{from} and {into} are one member already."),
            },
            Self::Pause { id, until } => {
                let until = until.map(|text| instant_of(&text, &app.settings, "--until")).transpose()?;
                let until = until.unwrap_or_else(|| app.clock.now() + PAUSE);
                members::pause(by, &id, until).await?;
                format!("{id} gets no marketing until {}.", rfc3339(until))
            }
            Self::Resume { id } => match members::resume(by, &id).await? {
                true => format!("{id} gets marketing again."),
                false => format!("{id} has no pause; nothing was changed."),
            },
            Self::Consent { id, channel, answer, evidence, at } => {
                let at = at.map(|text| instant_of(&text, &app.settings, "--at")).transpose()?;
                let given = answer == Answer::Yes;
                let at = at.unwrap_or_else(|| app.clock.now());
                let said = members::Said { channel, given, at, evidence: evidence.as_deref() };
                let word = if given { "agreed to" } else { "withdrew" };
                match members::consent(by, &id, said).await? {
                    true => format!("Written down: {id} {word} {channel}."),
                    false => format!("That {id} {word} {channel} at this instant was known; nothing was changed."),
                }
            }
        };
        match session.format {
            Format::Table => output::say(&said),
            Format::Json | Format::Csv => output::json(&serde_json::json!({ "done": said })),
        }
    }
}

fn unknown(id: &str) -> CommandError {
    CommandError::Other(format!("there is no member `{id}`"))
}

/// What the store holds of a member, as it is shown.
async fn shown(tx: &mut Tx, member: Member) -> Result<Shown> {
    let log = consents::of_members(tx, vec![member.id]).await?.remove(&member.id).unwrap_or_default();
    let suppressions = closed(tx, &member).await?;
    Ok(Shown {
        other_names: erasure::aliases(tx, member.id).await?,
        fields: fields(&member),
        orders: purchases::count_of(tx, member.id).await?,
        messages: messages::of_member(tx, member.id).await?.len(),
        paused_until: member.paused_until.map(rfc3339),
        consents: log.into_iter().map(consent).collect(),
        objections: objections::of_member(tx, member.id).await?.into_iter().map(objection).collect(),
        suppressions,
        attributes: member.attributes,
        external_id: member.external_id,
    })
}

/// Those of a member's fields that hold something.
fn fields(member: &Member) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone();
    let fields: Vec<(&'static str, Option<String>)> = vec![
        ("email", text(&member.email)),
        ("phone", text(&member.phone)),
        ("title", text(&member.title)),
        ("first_name", text(&member.first_name)),
        ("last_name", text(&member.last_name)),
        ("birth_date", member.birth_date.map(|date| date.to_string())),
        ("joined_at", member.joined_at.map(rfc3339)),
        ("locale", text(&member.locale)),
        ("timezone", member.timezone.map(|zone| zone.name().to_owned())),
        ("calendar", member.calendar.map(|calendar| calendar.to_string())),
        ("email_consent", Some(member.email_consent.to_string())),
        ("sms_consent", Some(member.sms_consent.to_string())),
        ("tier", text(&member.tier)),
        ("points", member.points.map(|points| points.to_string())),
        ("erased_or_merged", member.deleted.then(|| "true".to_owned())),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// For what a member's addresses are closed.
async fn closed(tx: &mut Tx, member: &Member) -> Result<Vec<Suppression>> {
    let mut closed = Vec::new();
    for channel in Channel::ALL {
        if let Some(address) = suppression_key(member, *channel) {
            let rows = suppressions::of_address(tx, &address).await?;
            closed.extend(rows.into_iter().map(|(purpose, reason)| Suppression {
                channel: channel.as_str(),
                purpose,
                reason,
            }));
        }
    }
    Ok(closed)
}

/// A line of the log.
fn consent(line: consents::Consent) -> Consent {
    Consent {
        channel: line.channel,
        given: line.given,
        at: rfc3339(instant(line.at)),
        source: line.source,
        evidence: line.evidence,
    }
}

fn objection(line: objections::Shown) -> Objection {
    Objection { channel: line.channel, purpose: line.purpose, reason: line.reason, at: rfc3339(instant(line.made_at)) }
}

fn show(shown: &Shown) -> Result {
    output::say(&format!("Member {}", shown.external_id))?;
    if !shown.other_names.is_empty() {
        output::say(&format!("  other names: {}", shown.other_names.join(", ")))?;
    }
    for (name, value) in &shown.fields {
        output::say(&format!("  {name}: {value}"))?;
    }
    for (name, value) in &shown.attributes {
        output::say(&format!("  attributes.{name}: {value}"))?;
    }
    let orders = output::counted(usize::try_from(shown.orders).unwrap_or(0), "order");
    output::say(&format!("  {orders}, {}", output::counted(shown.messages, "message")))?;
    if let Some(until) = &shown.paused_until {
        output::say(&format!("  paused marketing until {until}"))?;
    }
    for line in &shown.consents {
        let word = if line.given { "agreed to" } else { "withdrew" };
        let evidence = line.evidence.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        output::say(&format!("  {}  {word} {} ({}){evidence}", line.at, line.channel, line.source))?;
    }
    for line in &shown.objections {
        output::say(&format!("  {}  objected to {} by {} ({})", line.at, line.purpose, line.channel, line.reason))?;
    }
    for line in &shown.suppressions {
        output::say(&format!("  the {} address is closed for {} ({})", line.channel, line.purpose, line.reason))?;
    }
    Ok(())
}
