//! `suppressions add|lift`.

use clap::Subcommand;

use super::output::{self, Format};
use super::{CommandError, Result, Session};
use crate::actions::addresses;
use crate::app::author;
use crate::domain::message::Purpose;

#[derive(Debug, Subcommand)]
pub(super) enum Suppressions {
    /// Close an address: nothing is sent there any more.
    Add {
        /// An e-mail address, or a phone number.
        address: String,
        /// For this purpose alone, marketing or service [default: both].
        #[arg(long, value_name = "PURPOSE", value_parser = |text: &str| text.parse::<Purpose>())]
        purpose: Option<Purpose>,
        /// Why, in one word or a few.
        #[arg(long, value_name = "TEXT", default_value = "by_hand")]
        reason: String,
    },
    /// Open an address again that was closed, by a bounce or by hand.
    Lift {
        /// An e-mail address, or a phone number.
        address: String,
        /// Also where its member closed it, or complained.
        #[arg(long)]
        yes: bool,
    },
}

impl Suppressions {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        let who = author();
        let (Self::Add { address, .. } | Self::Lift { address, .. }) = &self;
        let read = addresses::read(address, &app.settings.brand);
        let (channel, address) = read.map_err(|why| CommandError::Other(format!("not an address: {why}")))?;
        let said = match self {
            Self::Add { purpose, reason, .. } => {
                let purposes = purpose.map_or(Purpose::ALL.to_vec(), |purpose| vec![purpose]);
                match addresses::close(app.by(&who), (channel, &address), &purposes, &reason).await? {
                    0 => "That address was closed already; nothing was changed.".to_owned(),
                    _ => {
                        let names: Vec<&str> = purposes.iter().map(|purpose| purpose.as_str()).collect();
                        format!("That {channel} address is closed for {}.", names.join(" and "))
                    }
                }
            }
            Self::Lift { yes, .. } => {
                let lifted = addresses::open(app.by(&who), (channel, &address), yes).await?;
                match lifted.first() {
                    None => "That address was not closed; nothing was changed.".to_owned(),
                    Some((_, reason)) => format!("That {channel} address is open again; it was closed as `{reason}`."),
                }
            }
        };
        match session.format {
            Format::Table => output::say(&said),
            Format::Json | Format::Csv => output::json(&serde_json::json!({ "done": said })),
        }
    }
}
