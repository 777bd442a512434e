//! The campaigns of the demo's year: copies of the project's, some of which hold members out, so that the reports
//! have something to compare.

use std::path::Path;

use super::behaviour::{BEHAVIOURS, CODE_COSTS, HOLDOUT};
use crate::files;

/// Copies the campaign files of one folder into another.
pub(super) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    files::folder(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|end| end == "yaml")) else {
            continue;
        };
        let text = files::read_below(from, &path)?;
        files::write(&to.join(name), experimenting(&text).as_bytes())?;
    }
    Ok(())
}

/// A campaign's file with an experiment, if it is one of those.
fn experimenting(text: &str) -> String {
    let named = |line: &str| {
        BEHAVIOURS.iter().any(|own| line.split('#').next().unwrap_or("").trim() == format!("name: {}", own.campaign))
    };
    if !text.lines().any(named) {
        return text.to_owned();
    }
    let mut kept = Vec::new();
    let mut is_old = false;
    for line in text.lines() {
        let begins = !line.is_empty() && !line.starts_with([' ', '#']);
        is_old = if begins { line.starts_with("experiment:") } else { is_old && line.starts_with(' ') };
        // What was said about it goes with it.
        while begins && is_old && kept.last().is_some_and(|line: &String| line.starts_with('#')) {
            kept.pop();
        }
        if !is_old {
            kept.push(line.replace("valid_days: 14 }", &format!("valid_days: 14, cost: {CODE_COSTS} }}")));
        }
    }
    let share = HOLDOUT * 100.0;
    format!(
        "{}\n\n# In the demo's year so many get nothing, always the same ones.\nexperiment:\n  holdout: {share:.0}%\n",
        kept.join("\n").trim_end()
    )
}
