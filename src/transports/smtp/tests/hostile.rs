//! A server that says what no server should: replies in other character sets, without an end, at the wrong time.

use super::*;

fn ok() -> Vec<Step> {
    pipelined(["250 ok", "250 ok", "354 go on"])
}

fn bytes(text: &[u8]) -> Vec<Step> {
    vec![Bytes(text.to_vec())]
}

/// MAIL, RCPT and DATA heard, and nothing said.
fn asked() -> Vec<Step> {
    vec![Hear("MAIL"), Hear("RCPT"), HearOnly("DATA")]
}

/// What comes of a mail whose final dot is answered so, before the connection is closed.
async fn dot(answer: &[u8], expected: &str) {
    check(steps([hello(PIPELINING), ok(), vec![HearMail], bytes(answer)]), |_| {}, &[expected]).await;
}

/// What comes of a mail whose recipient is answered so.
async fn rcpt(answer: &[u8], expected: &str) {
    let answers = [b"250 ok\r\n", answer, b"503 no\r\n"].concat();
    check(steps([hello(PIPELINING), asked(), bytes(&answers)]), |_| {}, &[expected]).await;
}

fn long(start: &str, size: usize, end: &str) -> Vec<u8> {
    [start.as_bytes(), &vec![b'x'; size], end.as_bytes()].concat()
}

#[tokio::test]
async fn a_reply_is_judged_by_its_code_whatever_its_text_is_written_in() {
    for text in [&b"caf\xe9 pr\xeat"[..], b"\x83\x86\x81[\x83U", b"a\0b", b"\xff\xfe\xfd", b"", b"\x1b[31m"] {
        let reply = |code: &str, end: &str| [code.as_bytes(), text, end.as_bytes()].concat();
        dot(&reply("250 ", "\r\n"), "sent -").await;
        dot(&reply("250 ", "\n"), "sent -").await;
        dot(&[reply("250-", "\r\n"), reply("250 ", "\r\n")].concat(), "sent -").await;
        dot(&reply("554 5.7.1 ", "\r\n"), "refused").await;
        dot(&reply("451 ", "\r\n"), "retry").await;
        rcpt(&reply("550 5.1.1 ", "\r\n"), "bad_recipient suppress").await;
        rcpt(&reply("550 5.1.1 ", "\n"), "bad_recipient suppress").await;
    }
}

#[tokio::test]
async fn a_long_reply_is_judged_by_its_code() {
    for size in [500, 5_000, 70_000, 900_000] {
        dot(&long("250 2.0.0 Ok: queued as ABC1 ", size, "\r\n"), "sent ABC1").await;
        dot(&long("554 5.7.1 ", size, "\r\n"), "refused").await;
        rcpt(&long("550 5.1.1 unknown ", size, "\r\n"), "bad_recipient suppress").await;
    }
    dot(&[b"250-words\r\n".repeat(5_000).as_slice(), b"250 ok\r\n"].concat(), "sent -").await;
    let many = [b"250-AN-EXTENSION\r\n".repeat(10_000).as_slice(), b"250 SIZE 1000000\r\n"].concat();
    let greeting = steps([vec![Say("220 mx.test"), Hear("EHLO")], bytes(&many)]);
    check(steps([greeting, one_by_one(), taken()]), |_| {}, &["sent ABC1"]).await;
}

#[tokio::test]
async fn a_reply_without_an_end_is_given_up() {
    for line in [&b"250-more\r\n"[..], b"x", b"250-", b"\0", b"\r\n"] {
        dot(&line.repeat(3_000_000 / line.len()), "uncertain").await;
        rcpt(&line.repeat(3_000_000 / line.len()), "retry").await;
        check(bytes(&line.repeat(3_000_000 / line.len())), |_| {}, &["pause 30"]).await;
    }
    // Its code is known, and the connection of no more use.
    let next = || steps([hello(PIPELINING), ok(), taken()]);
    for (start, expected) in [("250 ok ", "sent -"), ("554 5.7.1 no ", "refused")] {
        let first = steps([hello(PIPELINING), ok(), vec![HearMail], bytes(&long(start, 3_000_000, ""))]);
        check(steps([first, vec![NextConnection], next()]), |_| {}, &[expected, "sent ABC1"]).await;
    }
}

#[tokio::test]
async fn an_answer_that_nobody_can_understand_is_uncertain_only_after_the_mail() {
    for text in ["hello\r\n", "\r\n", "25 ok\r\n", "2500 ok\r\n", "150 ok\r\n", "999 no\r\n", "250-a\r\n550 b\r\n"] {
        dot(text.as_bytes(), "uncertain").await;
        rcpt(text.as_bytes(), "retry").await;
        check(steps([bytes(text.as_bytes())]), |_| {}, &["pause 30"]).await;
    }
    dot(b"354 go on\r\n", "uncertain").await;
    check(steps([hello(PIPELINING), asked(), bytes(b"354 go\r\n354 go\r\n354 go\r\n")]), |_| {}, &["retry"]).await;
}

#[tokio::test]
async fn a_reply_that_breaks_off_counts_as_far_as_it_came() {
    dot(b"250 2.0.0 O", "sent -").await;
    dot(b"250-a\r\n250 ", "sent -").await;
    for text in ["550 5.1.1 unknown us", "451 4.3.0 la"] {
        dot(text.as_bytes(), "retry").await;
    }
    // Its last words may be the ones that count.
    let cut = bytes(b"250 ok\r\n550 5.1.1 mailbox ful");
    check(steps([hello(PIPELINING), asked(), cut]), |_| {}, &["retry"]).await;
    for text in ["2", "250", "250-a\r\n", "250-a\r\n2"] {
        dot(text.as_bytes(), "uncertain").await;
    }
}

#[tokio::test]
async fn a_reply_that_trickles_in_has_the_deadline_of_all_others() {
    let soon = |options: &mut SmtpOptions| options.timeout = Duration::from_millis(300);
    let slow = |text| vec![Trickle(text, Duration::from_millis(20))];
    let long = "250 2.0.0 Ok: queued as 0123456789";
    check(steps([hello(PIPELINING), ok(), vec![HearMail], slow(long)]), soon, &["sent -"]).await;
    let long = "250-2.0.0 Ok: queued as 0123456789";
    check(steps([hello(PIPELINING), ok(), vec![HearMail], slow(long)]), soon, &["uncertain"]).await;
    check(steps([slow("220 mx.test ESMTP is at your service")]), soon, &["pause 30"]).await;
}

#[tokio::test]
async fn an_answer_before_its_question_is_credited_to_nobody() {
    let next = || steps([vec![NextConnection], hello(PIPELINING), ok(), taken()]);
    // To the next message: its recipient would be refused, and its mail taken.
    for early in ["550 5.1.1 unknown\r\n", "250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n", "2", "\n"] {
        let first = steps([hello(PIPELINING), ok(), vec![HearMail], bytes(format!("250 ok\r\n{early}").as_bytes())]);
        check(steps([first, next()]), |_| {}, &["sent -", "sent ABC1"]).await;
    }
    // To the mail that has not gone.
    for early in ["250 ok\r\n", "554 5.7.1 no\r\n"] {
        let answers = format!("250 ok\r\n250 ok\r\n354 go on\r\n{early}");
        let first = steps([hello(PIPELINING), asked(), bytes(answers.as_bytes())]);
        check(steps([first, next()]), |_| {}, &["retry", "sent ABC1"]).await;
    }
    // To EHLO, or MAIL without pipelining.
    check(steps([bytes(b"220 a\r\n250 b\r\n")]), |_| {}, &["pause 30"]).await;
    let early = steps([vec![Say("220 a"), Hear("EHLO")], bytes(b"250 b\r\n250 ok\r\n550 5.1.1 no\r\n")]);
    check(early, |_| {}, &["retry"]).await;
    let early = vec![HearOnly("MAIL"), Say("250 ok\r\n550 5.1.1 unknown")];
    check(steps([hello(PLAIN), early]), |_| {}, &["retry"]).await;
}

#[tokio::test]
async fn a_greeting_that_refuses_rests_the_server() {
    for greeting in ["554 no service", "421 4.7.0 too many", "421-a\r\n421 b", "354 x", "554 caf\u{e9}"] {
        check(vec![Say(greeting)], |_| {}, &["pause 30"]).await;
    }
}

#[tokio::test]
async fn a_server_that_quotes_the_credentials_has_them_in_no_reply() {
    let secret = |options: &mut SmtpOptions| {
        options.username = Some("shop@example.com".to_owned());
        options.password = Some("s3cret-word".to_owned().into());
    };
    for (offer, quote) in [
        ("250 AUTH PLAIN", "500 what is \"AUTH PLAIN AHNob3BAZXhhbXBsZS5jb20AczNjcmV0LXdvcmQ=\" s3cret-word"),
        ("250 AUTH=LOGIN", "535 c2hvcEBleGFtcGxlLmNvbQ== czNjcmV0LXdvcmQ= shop@example.com shop"),
    ] {
        let mut steps = vec![Say("220 mx.test"), Hear("EHLO"), Say(offer), Hear("AUTH")];
        if offer.contains("LOGIN") {
            steps.extend([Say("334 a"), Hear(""), Say("334 b"), Hear("")]);
        }
        steps.push(Say(quote));
        let (port, server) = serve(steps).await;
        let mut options = options(port);
        secret(&mut options);
        let outcome = SmtpFactory::new(options).unwrap().open().send(&envelope()).await;
        let Outcome::Pause { reply, .. } = &outcome else { panic!("{outcome:?}") };
        for word in ["s3cret", "AHNob3B", "c2hvcEB", "czNjcmV0", "shop"] {
            assert!(!reply.contains(word), "{word} in {reply}");
        }
        server.await.unwrap();
    }
}
