//! Who may import whom, held against the sources: the directions of the map in ARCHITECTURE.md, the
//! libraries that only one place names, and a first line that says what each file is for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What each module may name of the others, by `use` or by path.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("document", &[]),
    ("files", &[]),
    ("domain", &["document"]),
    ("clock", &["domain"]),
    ("tls", &[]),
    ("telemetry", &["settings::environment"]),
    ("store", &["domain", "files"]),
    ("triggers", &["store", "domain", "document"]),
    ("queue", &["store", "domain", "document"]),
    ("transports", &["store", "domain", "document", "tls", "files"]),
    ("rendering", &["store", "domain", "document"]),
    ("settings", &["domain", "document", "store::redact"]),
    ("import", &["store", "domain", "document", "settings", "clock", "files"]),
    ("catalog", &["triggers", "rendering", "transports", "settings", "store", "domain", "document", "files"]),
    ("model", &["store", "domain"]),
    ("scheduler", PIPELINE),
    ("dispatcher", PIPELINE),
    ("fallback", PIPELINE),
    ("delivery", PIPELINE),
    ("web", WITH_INBOUND),
    ("inbound", INBOUND),
    ("views", WITH_SCHEDULER),
    ("app", BELOW_APP),
    ("cli", BELOW_CLI),
    ("main", &["cli"]),
    ("lib", &[]),
];

const PIPELINE: &[&str] =
    &["catalog", "queue", "transports", "rendering", "triggers", "settings", "store", "domain", "clock", "telemetry"];

/// Mailboxes are read over TLS.
const INBOUND: &[&str] = &[
    "catalog",
    "queue",
    "transports",
    "rendering",
    "triggers",
    "settings",
    "store",
    "domain",
    "clock",
    "telemetry",
    "tls",
    "files",
];

/// Providers' calls come in by the web.
const WITH_INBOUND: &[&str] = &[
    "inbound",
    "catalog",
    "queue",
    "transports",
    "rendering",
    "triggers",
    "settings",
    "store",
    "domain",
    "clock",
    "telemetry",
];

/// What would happen is computed by what makes it happen. A name that nobody has is answered with those that there are.
const WITH_SCHEDULER: &[&str] = &[
    "scheduler",
    "catalog",
    "queue",
    "transports",
    "rendering",
    "triggers",
    "settings",
    "store",
    "domain",
    "clock",
    "document",
];

const BELOW_APP: &[&str] = &[
    "model",
    "scheduler",
    "dispatcher",
    "fallback",
    "delivery",
    "web",
    "inbound",
    "views",
    "catalog",
    "queue",
    "transports",
    "rendering",
    "triggers",
    "settings",
    "store",
    "domain",
    "clock",
    "document",
    "import",
    "telemetry",
    "files",
];

const BELOW_CLI: &[&str] = &[
    "app",
    "model",
    "scheduler",
    "dispatcher",
    "fallback",
    "delivery",
    "web",
    "inbound",
    "views",
    "catalog",
    "queue",
    "transports",
    "rendering",
    "triggers",
    "settings",
    "store",
    "domain",
    "clock",
    "document",
    "import",
    "telemetry",
    "files",
];

/// Every source file by its path below `src`.
fn sources() -> BTreeMap<String, String> {
    fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    collect(&root, &root, &mut found);
    found
}

/// The text without line comments, and without blanks but for those between two words.
fn code(text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut code = String::new();
    for line in text.lines() {
        let line = line.trim();
        let line = line.find("//").filter(|at| !line[..*at].ends_with(':')).map_or(line, |at| &line[..at]);
        for word in line.split_whitespace() {
            if code.ends_with(is_word) && word.starts_with(is_word) {
                code.push(' ');
            }
            code.push_str(word);
        }
    }
    code
}

/// `module` or `module::item` of each path that begins with `crate::`, a group taken apart.
fn crate_paths(code: &str, root: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices(root) {
        let before = code[..start].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            continue;
        }
        let rest = &code[start + root.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_usize;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '}' if depth == 0 => break,
                    ',' if depth == 0 => found.extend(path(&std::mem::take(&mut item))),
                    _ => {
                        depth = if c == '{' {
                            depth + 1
                        } else if c == '}' {
                            depth - 1
                        } else {
                            depth
                        };
                        item.push(c);
                    }
                }
            }
            found.extend(path(&item));
        } else {
            found.extend(path(rest));
        }
    }
    found
}

/// The first one or two names of a path.
fn path(text: &str) -> Option<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let first = name(text);
    let second = text[first.len()..].strip_prefix("::").map(name).filter(|name| !name.is_empty());
    (!first.is_empty()).then(|| second.map_or(first.clone(), |second| format!("{first}::{second}")))
}

/// The top module that a file belongs to.
fn module(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

#[test]
fn imports_follow_the_map() {
    let rules: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let own = module(&file);
        let Some(allowed) = rules.get(own) else {
            broken.push(format!("src/{file}: the module `{own}` has no rule in tests/embedded/layers.rs"));
            continue;
        };
        let root = if own == "main" { "rekindle::" } else { "crate::" };
        for path in crate_paths(&code(&text), root) {
            let other = path.split("::").next().unwrap();
            let is_module = rules.contains_key(other);
            let fine = other == own || allowed.iter().any(|rule| *rule == other || *rule == path);
            if is_module && !fine {
                broken.push(format!("src/{file} names {root}{path}, and {own} may not import it"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn imports_have_no_circles() {
    // Where one function is allowed, its module is.
    let rules: BTreeMap<&str, BTreeSet<&str>> = MAY_IMPORT
        .iter()
        .map(|(own, allowed)| (*own, allowed.iter().map(|rule| rule.split("::").next().unwrap()).collect()))
        .collect();
    let mut left: BTreeSet<&str> = rules.keys().copied().collect();
    while !left.is_empty() {
        let free: Vec<&str> = left.iter().copied().filter(|own| rules[own].is_disjoint(&left)).collect();
        // The settings take one function of the store, which takes nothing of theirs.
        assert!(!free.is_empty(), "these import each other in a circle: {left:?}");
        for own in free {
            left.remove(own);
        }
    }
}

#[test]
fn a_library_is_named_in_its_one_place() {
    let places: &[(&str, &[&str])] = &[
        ("lapin", &["queue/rabbitmq/"]),
        ("lettre", &["transports/mail.rs", "transports/smtp/"]),
        ("async_imap", &["inbound/bounces/imap.rs"]),
        ("handlebars", &["rendering/"]),
        ("reqwest", &["transports/sms/"]),
        ("sqlx", &["store/"]),
        ("axum", &["web/"]),
        ("maud", &["web/"]),
        ("metrics_exporter_prometheus", &["web/"]),
        ("clap", &["cli/"]),
        ("mail_parser", &["inbound/bounces/"]),
    ];
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let code = code(&text);
        for (library, homes) in places {
            let named = code
                .match_indices(&format!("{library}::"))
                .any(|(start, _)| !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
            if named && !homes.iter().any(|home| file.starts_with(home)) {
                broken.push(format!("src/{file} names {library}; only {} may", homes.join(" and ")));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_clock_reads_the_systems_time_and_only_the_settings_the_environment() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let code = code(&text);
        for (call, home) in [
            ("Utc::now(", "clock.rs"),
            ("Local::now(", "clock.rs"),
            ("SystemTime::now(", "clock.rs"),
            ("Uuid::now_v7(", "clock.rs"),
            ("env::var(", "settings.rs"),
            ("env::var_os(", "settings.rs"),
        ] {
            if file != home && !file.contains("/tests") && code.contains(call) {
                broken.push(format!("src/{file} calls {call}…); only src/{home} may"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_domain_neither_waits_nor_reads_nor_writes() {
    let mut broken = Vec::new();
    for (file, text) in sources().into_iter().filter(|(file, _)| file.starts_with("domain/")) {
        let code = code(&text);
        for word in
            ["async fn", "async{", "async move", ".await", "tokio::", "std::fs", "std::net", "std::io", "std::env"]
        {
            if code.contains(word) {
                broken.push(format!("src/{file} has `{word}`; the domain is pure"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let silent: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(file, _)| file).collect();
    assert!(silent.is_empty(), "these files have no `//!` in their first line: {silent:?}");
}

#[test]
fn every_trigger_and_helper_stands_beside_its_line_in_the_list() {
    let sources = sources();
    for (folder, list) in [("triggers/", "triggers/mod.rs"), ("rendering/helpers/", "rendering/helpers/mod.rs")] {
        for file in sources
            .keys()
            .filter(|file| file.starts_with(folder) && !file.ends_with("/mod.rs") && !file.ends_with("/tests.rs"))
        {
            let name = file.trim_start_matches(folder).trim_end_matches(".rs");
            let uses = code(&sources[list]).matches(&format!("{name}::")).count();
            assert!(uses > 0, "src/{file} is not in the list of src/{list}");
        }
    }
}

#[test]
fn the_reader_of_imports_sees_them_all() {
    let check = |text: &str, expected: &[&str]| {
        let found = crate_paths(&code(text), "crate::");
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{text}");
    };
    check("use crate::store::{Store, Tx};", &["store"]);
    check("use crate::{views, domain::member::Brand};", &["domain::member", "views"]);
    check("use crate::{store::{A, B}, clock::Clock};", &["clock::Clock", "store"]);
    check("fn f(x: &crate::store::Tx) {} // crate::cli", &["store::Tx"]);
    check("pub(crate) use words; pub(in crate::domain) fn f() {}", &["domain"]);
    check("$crate::store::Tx", &[]);
}
