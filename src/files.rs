//! Files that hold what is private, such as the store and captured messages: only their owner may read them, and
//! no link that somebody laid under their name is followed. And files of folders that others may write to, of
//! which only regular ones are read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The most that a file of a configuration may hold.
const LARGEST: u64 = 1 << 20;

/// Makes a folder that only its owner may enter, and those above it. One that exists stays as it is, and may be
/// a link.
pub fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A new, empty file. A file that was there is replaced and not emptied: another name may lead to it.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => fs::remove_file(path)?,
        // A pipe or a terminal that somebody named, as /dev/stdout: nothing there can be emptied.
        Ok(found) => {
            let opened = OpenOptions::new().write(true).open(path);
            return match opened.and_then(|file| Ok((file.metadata()?.is_file(), file))) {
                Ok((false, file)) => Ok(file),
                Err(error) if !found.is_symlink() => Err(error),
                _ => Err(is_link()),
            };
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a file of a folder of ours whole or not at all: who looks into it never sees half a file. A link is
/// replaced.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let temporary = path.with_file_name(format!(".{}.tmp", name.to_string_lossy()));
    // Of a crash, or a link that waits for us.
    let _ = fs::remove_file(&temporary);
    let written =
        create(&temporary).and_then(|mut file| file.write_all(bytes)).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Half a file on a full disk takes the room that the next attempt needs.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The same for a file of a folder that people edit: who may read it stays, and a new one all may read.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let before = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file);
    let mode = before.map_or(0o644, |found| found.permissions().mode() & 0o777);
    write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Opens a file that keeps what it holds; it is made where it is missing. What is written comes behind the rest
/// with `append`.
pub fn keep(path: &Path, append: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).append(append).create(true).mode(0o600);
    regular(&mut options, path)
}

/// Opens a regular file to read it: no link, and no pipe, which would be waited for.
pub fn open(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true), path)
}

/// The text of a file of a folder. A link may lead to another file below it, as where a mounted configuration is
/// changed as a whole, and nowhere else.
pub fn read_below(folder: &Path, path: &Path) -> io::Result<String> {
    let real = path.canonicalize()?;
    if !real.starts_with(folder.canonicalize()?) {
        return Err(io::Error::other("it is a link that leads out of its folder; put the file itself there"));
    }
    let mut text = String::new();
    open(&real)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 1 MB, which no file of a configuration is"));
    }
    Ok(text)
}

fn regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let opened = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = opened.map_err(|error| if error.raw_os_error() == Some(libc::ELOOP) { is_link() } else { error })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

fn is_link() -> io::Error {
    io::Error::other("it is a link, which is not followed; name the file itself, or remove the link")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    /// A folder of its own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("rekindle-files-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        /// A file of somebody else, by its name in here.
        fn victim(&self) -> PathBuf {
            let path = self.0.join("victim");
            fs::write(&path, "precious").unwrap();
            path
        }

        fn pipe(&self, name: &str) -> PathBuf {
            let path = self.0.join(name);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone() {
        let here = Folder::new("owner");
        folder(&here.0.join("a/b")).unwrap();
        assert_eq!((mode(&here.0.join("a")), mode(&here.0.join("a/b"))), (0o700, 0o700));
        let at = |name: &str| here.0.join("a/b").join(name);
        create(&at("1")).unwrap();
        write(&at("2"), b"x").unwrap();
        keep(&at("3"), true).unwrap();
        keep(&at("4"), false).unwrap();
        for name in ["1", "2", "3", "4"] {
            assert_eq!(mode(&at(name)), 0o600, "{name}");
        }
        assert_eq!(fs::read_dir(here.0.join("a/b")).unwrap().count(), 4, "no temporary file is left");
    }

    #[test]
    fn a_link_under_a_known_name_leads_nowhere() {
        let here = Folder::new("links");
        let victim = here.victim();
        let link = here.0.join("link");
        let temporary = here.0.join(".out.tmp");
        for (from, to) in [(&link, &victim), (&here.0.join("dangling"), &here.0.join("made")), (&temporary, &victim)] {
            symlink(to, from).unwrap();
            let said = |result: io::Result<File>| result.unwrap_err().to_string();
            assert!(said(create(from)).contains("is a link"), "{}", said(create(from)));
            assert!(said(keep(from, false)).contains("is a link"));
            assert!(said(keep(from, true)).contains("is a link"));
            assert!(said(open(from)).contains("is a link"));
        }
        // Written whole: the link itself is replaced.
        write(&link, b"own").unwrap();
        assert!(!fs::symlink_metadata(&link).unwrap().is_symlink());
        write(&here.0.join("out"), b"own").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(!here.0.join("made").exists());
    }

    #[test]
    fn a_file_with_another_name_is_not_emptied() {
        let here = Folder::new("names");
        let victim = here.victim();
        for name in ["1", "2"] {
            fs::hard_link(&victim, here.0.join(name)).unwrap();
        }
        create(&here.0.join("1")).unwrap().write_all(b"own").unwrap();
        write(&here.0.join("2"), b"own").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::metadata(&victim).unwrap().nlink(), 1);
    }

    #[test]
    fn a_pipe_is_waited_for_only_where_somebody_named_it() {
        let here = Folder::new("pipes");
        let pipe = here.pipe("p.yaml");
        for found in [open(&pipe), keep(&pipe, true), keep(&pipe, false)] {
            assert!(found.unwrap_err().to_string().contains("no regular file"));
        }
        assert!(read_below(&here.0, &pipe).unwrap_err().to_string().contains("no regular file"));
        create(Path::new("/dev/null")).unwrap().write_all(b"x").unwrap();
    }

    #[test]
    fn only_what_lies_below_its_folder_is_read() {
        let here = Folder::new("below");
        here.victim();
        let root = here.0.join("templates");
        fs::create_dir_all(root.join("..data")).unwrap();
        fs::write(root.join("..data/a.txt"), "inside").unwrap();
        symlink("..data/a.txt", root.join("a.txt")).unwrap();
        symlink("../victim", root.join("b.txt")).unwrap();
        symlink("/dev/zero", root.join("c.txt")).unwrap();
        symlink("nowhere", root.join("d.txt")).unwrap();
        fs::write(root.join("e.txt"), vec![b'x'; 1 << 20]).unwrap();
        fs::write(root.join("f.txt"), vec![b'x'; (1 << 20) + 1]).unwrap();
        let read = |name: &str| read_below(&root, &root.join(name)).map_err(|error| error.to_string());
        assert_eq!(read("a.txt").unwrap(), "inside");
        assert!(read("b.txt").unwrap_err().contains("leads out of its folder"));
        assert!(read("c.txt").unwrap_err().contains("leads out of its folder"));
        assert!(read("d.txt").unwrap_err().contains("No such file"));
        assert!(read("e.txt").is_ok());
        assert!(read("f.txt").unwrap_err().contains("larger than 1 MB"));
    }
}
