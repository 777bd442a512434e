//! Files of mail: one mail, or several in mbox form (RFC 4155).

/// The mails of a file. Only a file that begins with a `From ` line is divided; of other files, and
/// of a single mail with such a line, the whole is one mail.
pub fn mails(file: &[u8]) -> Vec<&[u8]> {
    if !file.starts_with(b"From ") {
        return vec![file];
    }
    let mut starts = vec![0];
    let mut from = 0;
    while let Some(found) = find(&file[from..], b"\nFrom ") {
        let at = from + found + 1;
        from = at;
        // A sentence that begins with "From" is no separator: a blank line is before it, and a header after.
        let is_after_blank = file[..at].ends_with(b"\n\n") || file[..at].ends_with(b"\r\n\r\n");
        let rest = &file[at..];
        let line = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |end| end + 1);
        let next = &rest[line..];
        let name = next.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'-')).unwrap_or(0);
        if is_after_blank && name > 0 && next.get(name) == Some(&b':') {
            starts.push(at);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    starts.iter().zip(ends).map(|(start, end)| &file[*start..end]).collect()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_mail_or_a_row_of_them() {
        let check = |file: &str, expected: usize| assert_eq!(mails(file.as_bytes()).len(), expected, "{file}");
        check("Subject: a\n\ntext\n\nFrom here on\n", 1);
        check("From a Mon\nSubject: a\n\ntext\n", 1);
        check("From a Mon\nSubject: a\n\ntext\n\nFrom here on it is text\nand goes on\n", 1);
        check("From a Mon\nSubject: a\n\ntext\n\nFrom b Tue\nSubject: b\n\ntext\n", 2);
        check("From a Mon\r\nSubject: a\r\n\r\ntext\r\n\r\nFrom b Tue\r\nReceived: b\r\n\r\ntext\r\n", 2);
        check("", 1);
    }
}
