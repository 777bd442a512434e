//! The files of a configuration, as they are read.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::{Problem, Problems};
use crate::files::read_below;
use crate::settings::{Settings, file_problem};

/// The files of a configuration, by path below their folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    pub campaigns: BTreeMap<String, String>,
    pub occasions: BTreeMap<String, String>,
    pub templates: BTreeMap<String, String>,
    pub providers: BTreeMap<String, String>,
    #[serde(default)]
    pub segments: BTreeMap<String, String>,
}

impl Files {
    /// Reads the folders that the settings name.
    pub fn read(settings: &Settings) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut read = |folder: &Path, endings: &[&str], required: bool| {
            let mut files = BTreeMap::new();
            if !required && !folder.exists() {
                return files;
            }
            collect(folder, folder, endings, &mut files, &mut problems);
            files
        };
        let files = Self {
            campaigns: read(&settings.campaigns, &[".yaml", ".yml"], true),
            occasions: read(&settings.occasions, &[".yaml", ".yml"], false),
            templates: read(&settings.templates, &[".txt", ".html", ".mjml", ".pattern.yaml"], true),
            providers: read(&settings.providers, &[".yaml", ".yml"], false),
            segments: read(&settings.segments, &[".yaml", ".yml"], false),
        };
        for path in files.templates.keys().filter(|path| path.ends_with(".mjml")) {
            problems
                .push(file_problem(&settings.templates.join(path), "MJML is not in this version; write email.html"));
        }
        if problems.is_empty() { Ok(files) } else { Err(Problems(problems)) }
    }

    /// The name of exactly these files.
    pub fn hash(&self) -> String {
        let document = self.to_json();
        Sha256::digest(document.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// As one document, for the store.
    pub fn to_json(&self) -> String {
        // Maps of text to text always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn collect(
    root: &Path,
    folder: &Path,
    endings: &[&str],
    files: &mut BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return problems.push(file_problem(folder, format!("cannot read this folder: {error}"))),
    };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        // Of editors, and of mounted folders whose files are links into them.
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            if path.is_symlink() {
                problems.push(file_problem(&path, "it is a link to a folder, which is not followed"));
            } else {
                collect(root, &path, endings, files, problems);
            }
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if !endings.iter().any(|ending| name.ends_with(ending)) {
            continue;
        }
        match read_below(root, &path) {
            Ok(text) => drop(files.insert(name, text)),
            Err(error) => problems.push(file_problem(&path, format!("cannot read this file: {error}"))),
        }
    }
}
