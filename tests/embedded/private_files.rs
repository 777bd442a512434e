//! What is written holds names, addresses and the key that signs links: it is for its owner alone, and goes through no
//! link that somebody laid under its name. And what is read of a configuration lies below its folder.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rekindle::import::Kind;
use rekindle::store::Store;

use crate::support::Folder;
use crate::support::shop::{PLAIN, Shop, Size};

const GOOD: &str = "external_id,email,email_consent,joined_at\nm1,m1@example.com,true,2024-05-01T09:00:00Z\n";
const BAD: &str = "external_id,email\nm1,no address\n";

/// The program in a folder.
fn rekindle(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rekindle")).args(arguments).current_dir(folder).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Everything below a folder that somebody else might read or enter.
fn open_to_others(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        if metadata.permissions().mode() & 0o077 != 0 {
            found.push(path.clone());
        }
        if metadata.is_dir() {
            found.extend(open_to_others(&path));
        }
    }
    found
}

/// A shop with its settings in a file, and what others must not lose.
fn shop() -> (Shop, PathBuf) {
    let shop = Shop::new(&Size { store: "sqlite://var/shop.db".to_owned(), ..Size::default() }, PLAIN);
    shop.campaign("hello", "trigger: { kind: welcome }\nchannels: [email, sms]\nreach: all");
    shop.write("rekindle.yaml", shop.settings_text());
    shop.write("members.csv", BAD);
    let victim = shop.write("victim", "precious");
    (shop, victim)
}

#[tokio::test]
async fn a_shops_store_and_outbox_are_for_their_owner_alone() {
    let (shop, _) = shop();
    let members =
        GOOD.replace("email_consent", "phone,sms_consent,email_consent").replace(",true", ",+989121234567,true,true");
    shop.import(Kind::Members, members).await;
    shop.once("2024-05-01T10:00:00Z").await;
    // Open, it has its journals beside it.
    let store = Store::open(&shop.settings().store, 1).await.unwrap();
    drop(store.begin().await.unwrap());
    assert!(shop.folder.0.join("var/shop.db-wal").exists() && shop.folder.0.join("outbox/sms.jsonl").exists());
    assert!(!shop.mails().is_empty());
    for folder in ["var", "outbox"] {
        let mode = std::fs::metadata(shop.folder.0.join(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
        assert_eq!(open_to_others(&shop.folder.0.join(folder)), [] as [PathBuf; 0]);
    }
    store.close().await;
    shop.close().await;
}

#[test]
fn rejected_rows_are_for_their_owner_alone_and_go_through_no_link() {
    let (shop, victim) = shop();
    let import = || rekindle(&shop.folder.0, &["--config", "rekindle.yaml", "import", "members", "members.csv"]);
    assert!(rekindle(&shop.folder.0, &["--config", "rekindle.yaml", "migrate"]).status.success());
    let rejects = shop.folder.0.join("members.rejects.csv");
    for target in [victim.as_path(), Path::new("nowhere")] {
        symlink(target, &rejects).unwrap();
        let output = import();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("members.rejects.csv: it is a link"), "{}", stderr(&output));
        std::fs::remove_file(&rejects).unwrap();
    }
    std::fs::hard_link(&victim, &rejects).unwrap();
    assert_eq!(import().status.code(), Some(1));
    assert!(std::fs::read_to_string(&rejects).unwrap().contains("no address"));
    assert_eq!(std::fs::metadata(&rejects).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!shop.folder.0.join("nowhere").exists());
    // What somebody names on purpose is written to.
    let to = |path: &str| {
        let arguments = ["--config", "rekindle.yaml", "import", "members", "members.csv", "--rejects", path];
        rekindle(&shop.folder.0, &arguments)
    };
    assert!(String::from_utf8_lossy(&to("/dev/stdout").stdout).contains("no address"));
    assert!(stderr(&to("/dev/null")).contains("are in /dev/null"));
}

#[test]
fn a_store_is_opened_through_no_link_and_a_lock_empties_nothing() {
    for name in ["shop.db", "shop.lock"] {
        let (shop, victim) = shop();
        std::fs::create_dir(shop.folder.0.join("var")).unwrap();
        symlink(&victim, shop.folder.0.join("var").join(name)).unwrap();
        let output = rekindle(&shop.folder.0, &["--config", "rekindle.yaml", "once"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("it is a link, which is not followed"), "{}", stderr(&output));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    }
    // The folder may be elsewhere.
    let (shop, _) = shop();
    std::fs::create_dir(shop.folder.0.join("elsewhere")).unwrap();
    symlink("elsewhere", shop.folder.0.join("var")).unwrap();
    let output = rekindle(&shop.folder.0, &["--config", "rekindle.yaml", "once"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(shop.folder.0.join("elsewhere/shop.db").exists());
}

#[test]
fn a_demo_leaves_nothing_that_others_can_read() {
    let folder = Folder::new();
    let victim = folder.0.join("victim");
    std::fs::write(&victim, "precious").unwrap();
    let own = folder.0.join("demo");
    let path = own.to_str().unwrap();
    let demo = || rekindle(Path::new(env!("CARGO_MANIFEST_DIR")), &["demo", "--members", "300", "--folder", path]);
    let output = demo();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(own.join("outbox").exists() && own.join("rekindle.db").exists());
    assert_eq!(open_to_others(&folder.0).into_iter().filter(|path| *path != victim).count(), 0);
    for name in ["members.csv", "purchases.csv", "coupons.csv", "rejects.csv", "rekindle.db", "outbox"] {
        let path = own.join(name);
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_dir_all(&path);
        symlink(&victim, &path).unwrap();
    }
    let output = demo();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_preview_is_written_through_no_link() {
    let (shop, victim) = shop();
    let config = ["--config", "rekindle.yaml"];
    assert!(rekindle(&shop.folder.0, &[&config[..], &["migrate"]].concat()).status.success());
    shop.write("members.csv", GOOD);
    let imported = rekindle(&shop.folder.0, &[&config[..], &["import", "members", "members.csv"]].concat());
    assert!(imported.status.success(), "{}", stderr(&imported));
    symlink(&victim, shop.folder.0.join("out.html")).unwrap();
    let preview = |out: &str| {
        let arguments = ["preview", "hello", "--member", "m1", "--out", out];
        rekindle(&shop.folder.0, &[&config[..], &arguments].concat())
    };
    let output = preview("out.html");
    assert!(stderr(&output).contains("it is a link"), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert!(preview("own.html").status.success());
    let mode = std::fs::metadata(shop.folder.0.join("own.html")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn of_a_configuration_only_regular_files_below_its_folders_are_read() {
    let (shop, victim) = shop();
    let check = || stderr(&rekindle(&shop.folder.0, &["--config", "rekindle.yaml", "check"]));
    assert_eq!(check(), "");
    let folders =
        ["templates/note/sms.fa.txt", "campaigns/x.yaml", "providers/x.yaml", "occasions/x.yaml", "segments/x.yaml"];
    for path in folders.map(|path| shop.folder.0.join(path)) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        for target in [victim.as_path(), Path::new("/dev/zero"), Path::new("/etc/passwd")] {
            symlink(target, &path).unwrap();
            let found = check();
            assert!(found.contains(&format!("{name}: cannot read this file: it is a link that leads out")), "{found}");
            assert!(!found.contains("precious"));
            std::fs::remove_file(&path).unwrap();
        }
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(check().contains(&format!("{name}: cannot read this file: it is no regular file")));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, vec![b' '; 3_000_000]).unwrap();
        assert!(check().contains("it is larger than 1 MB"));
        std::fs::remove_file(&path).unwrap();
    }
    symlink("..", shop.folder.0.join("templates/round")).unwrap();
    assert!(check().contains("round: it is a link to a folder, which is not followed"));
    std::fs::remove_file(shop.folder.0.join("templates/round")).unwrap();
    // Of an editor; and files that a mounted folder swaps as a whole.
    symlink("nobody@nowhere", shop.folder.0.join("campaigns/.#hello.yaml")).unwrap();
    std::fs::create_dir(shop.folder.0.join("campaigns/..data")).unwrap();
    std::fs::rename(shop.folder.0.join("campaigns/hello.yaml"), shop.folder.0.join("campaigns/..data/hello.yaml"))
        .unwrap();
    symlink("..data/hello.yaml", shop.folder.0.join("campaigns/hello.yaml")).unwrap();
    assert_eq!(check(), "");
}
