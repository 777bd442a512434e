//! The demo's folder: what an earlier demo left there goes, and settings of its own come.

use std::path::{Path, PathBuf};

use super::campaigns;
use crate::cli::{CommandError, Result, Session};
use crate::domain::track::Track;
use crate::files;
use crate::settings::{QueueSetting, Settings, environment};

/// What a demo writes, beside the store's journals.
const FILES: &[&str] = &[
    "rekindle.db",
    "rekindle.db-wal",
    "rekindle.db-shm",
    "members.csv",
    "purchases.csv",
    "coupons.csv",
    "rejects.csv",
    "day.csv",
    "truth.json",
];
const FOLDERS: &[&str] = &["outbox", "campaigns"];

/// Makes the folder, or empties one that a demo made.
pub(super) fn prepare(folder: &Path) -> Result {
    let made_by_a_demo = |path: &Path| path.join("rekindle.yaml").exists();
    let failed =
        |what: &str, error: std::io::Error| CommandError::Other(format!("cannot {what} {}: {error}", folder.display()));
    if folder.exists() {
        let empty = std::fs::read_dir(folder).map_err(|error| failed("read", error))?.next().is_none();
        if !empty && !made_by_a_demo(folder) {
            return Err(CommandError::Other(format!(
                "{} holds other files; name an empty folder with --folder",
                folder.display()
            )));
        }
        for name in FILES {
            gone(std::fs::remove_file(folder.join(name))).map_err(|error| failed("empty", error))?;
        }
        for name in FOLDERS {
            gone(std::fs::remove_dir_all(folder.join(name))).map_err(|error| failed("empty", error))?;
        }
    }
    files::folder(folder).map_err(|error| failed("create", error))
}

/// Removing what is not there is as good. A link is removed itself, not what it leads to.
fn gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The project's settings on the embedded defaults, in the demo's own folder; written there, so that
/// other commands can be tried on it. With experiments the campaigns are the demo's own, and mails say that
/// they were opened and clicked.
pub(super) fn settings(session: &Session, folder: &Path, with_experiments: bool) -> Result<Settings> {
    let mut settings = Settings::load(&session.config, &environment)?;
    let absolute = std::path::absolute(folder).map_err(CommandError::Output)?;
    settings.store = format!("sqlite://{}", absolute.join("rekindle.db").display());
    settings.queue = QueueSetting::Embedded;
    settings.outbox = absolute.join("outbox");
    settings.email.smtp.clear();
    settings.sms.providers.clear();
    settings.redirect_all_to = None;
    let text = std::fs::read_to_string(&session.config).map_err(CommandError::Output)?;
    let config = std::path::absolute(&session.config).map_err(CommandError::Output)?;
    let root = config.parent().unwrap_or(&config);
    let mut keys = own_keys(root);
    if with_experiments {
        let own = absolute.join("campaigns");
        campaigns::copy(&settings.campaigns, &own).map_err(CommandError::Output)?;
        settings.campaigns = own;
        settings.brand.track = Track { opens: true, clicks: true };
        keys.insert(0, ("campaigns:", "campaigns: campaigns".to_owned()));
        keys.push(("  track:", "  track: { opens: true, clicks: true }".to_owned()));
    }
    let own = own_settings(&text, &keys);
    files::write(&folder.join("rekindle.yaml"), own.as_bytes()).map_err(CommandError::Output)?;
    Ok(settings)
}

/// How lines of the settings begin that are others in the demo's own, and what stands there instead.
fn own_keys(root: &Path) -> Vec<(&'static str, String)> {
    let path = |key: &str, path: PathBuf| format!("{key} \"{}\"", path.display());
    vec![
        ("store:", "store: sqlite://rekindle.db".to_owned()),
        ("queue:", "queue: embedded".to_owned()),
        ("campaigns:", path("campaigns:", root.join("campaigns"))),
        ("occasions:", path("occasions:", root.join("occasions"))),
        ("providers:", path("providers:", root.join("providers"))),
        ("templates:", path("templates:", root.join("../templates"))),
        ("outbox:", "outbox: outbox".to_owned()),
    ]
}

/// The settings file with these lines of its own.
fn own_settings(text: &str, keys: &[(&str, String)]) -> String {
    let lines = text.lines().map(|line| match keys.iter().find(|(key, _)| line.starts_with(key)) {
        Some((_, own)) => own.clone(),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}
