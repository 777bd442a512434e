//! The files of a configuration, as they are read.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::{Problem, Problems};
use crate::files::read_below;
use crate::settings::{Settings, file_problem};

/// What the paths of a configuration's files begin with.
const KINDS: [&str; 5] = ["campaigns", "occasions", "templates", "providers", "segments"];

/// Whether a name leads to a file below its folder, by plain names.
fn is_inside(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) && !name.is_empty()
}

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

    /// Each file's text by its path: the folder as people know it, then the name, such as `campaigns/birthday.yaml`.
    pub fn texts(&self) -> BTreeMap<String, &str> {
        let kinds = KINDS.iter().zip(self.kinds());
        let paths = kinds
            .flat_map(|(kind, files)| files.iter().map(move |(name, text)| (format!("{kind}/{name}"), text.as_str())));
        paths.collect()
    }

    /// The files of such paths. An error names a path that is none.
    pub fn from_texts(texts: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let mut files = Self::default();
        for (path, text) in texts {
            match path.split_once('/') {
                Some((kind, name)) if is_inside(name) && KINDS.contains(&kind) => {
                    let position = KINDS.iter().position(|known| *known == kind).unwrap_or_default();
                    files.kinds_mut()[position].insert(name.to_owned(), text);
                }
                _ => return Err(path),
            }
        }
        Ok(files)
    }

    /// Where the settings put a file of such a path.
    pub fn place(settings: &Settings, path: &str) -> Option<PathBuf> {
        let (kind, name) = path.split_once('/')?;
        let folders =
            [&settings.campaigns, &settings.occasions, &settings.templates, &settings.providers, &settings.segments];
        let position = KINDS.iter().position(|known| *known == kind)?;
        is_inside(name).then(|| folders[position].join(name))
    }

    const fn kinds(&self) -> [&BTreeMap<String, String>; 5] {
        [&self.campaigns, &self.occasions, &self.templates, &self.providers, &self.segments]
    }

    const fn kinds_mut(&mut self) -> [&mut BTreeMap<String, String>; 5] {
        [&mut self.campaigns, &mut self.occasions, &mut self.templates, &mut self.providers, &mut self.segments]
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
