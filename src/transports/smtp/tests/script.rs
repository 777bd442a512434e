//! A server that follows a script: each step says or hears one thing, and the test fails where the
//! client does something else.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use Step::*;

pub enum Step {
    /// The server says this; CRLF is added.
    Say(&'static str),
    /// The server says exactly this; a client that has closed does not hear it.
    Bytes(Vec<u8>),
    /// Each byte so long after the one before.
    Trickle(&'static str, Duration),
    /// The next line begins so.
    Hear(&'static str),
    /// The next line begins so, and nothing has come after it.
    HearOnly(&'static str),
    /// A mail up to its final dot.
    HearMail,
    /// The mail has begun to come; it is not read to its end.
    HearPart,
    /// Closes and waits for the next connection.
    NextConnection,
    /// The client says nothing more until the test is over.
    Silence,
}

pub struct Heard {
    pub mails: Vec<String>,
    pub connections: usize,
}

/// Plays the steps; ends with what was heard.
pub async fn serve(steps: Vec<Step>) -> (u16, JoinHandle<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let mut heard = Heard { mails: Vec::new(), connections: 1 };
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut buffer: VecDeque<u8> = VecDeque::new();
        for step in steps {
            match step {
                Say(text) => tcp.write_all(format!("{text}\r\n").as_bytes()).await.unwrap(),
                Bytes(bytes) => drop(tcp.write_all(&bytes).await),
                Trickle(text, pause) => {
                    for byte in text.bytes() {
                        tokio::time::sleep(pause).await;
                        if tcp.write_all(&[byte]).await.is_err() {
                            break;
                        }
                    }
                }
                Hear(expected) => {
                    let line = line(&mut tcp, &mut buffer).await;
                    assert!(line.starts_with(expected), "expected {expected}, heard {line}");
                }
                HearOnly(expected) => {
                    let line = line(&mut tcp, &mut buffer).await;
                    assert!(line.starts_with(expected), "expected {expected}, heard {line}");
                    assert!(buffer.is_empty(), "more came after {expected}");
                }
                HearMail => {
                    let mut mail = String::new();
                    loop {
                        let line = line(&mut tcp, &mut buffer).await;
                        mail.push_str(&line);
                        if line == ".\r\n" {
                            break;
                        }
                    }
                    heard.mails.push(mail);
                }
                HearPart => {
                    line(&mut tcp, &mut buffer).await;
                }
                NextConnection => {
                    buffer.clear();
                    drop(tcp);
                    tcp = listener.accept().await.unwrap().0;
                    heard.connections += 1;
                }
                Silence => {
                    let mut rest = Vec::new();
                    let _ = tcp.read_to_end(&mut rest).await;
                    assert!(rest.is_empty(), "heard {}", String::from_utf8_lossy(&rest));
                }
            }
        }
        heard
    });
    (port, task)
}

async fn line(tcp: &mut TcpStream, buffer: &mut VecDeque<u8>) -> String {
    loop {
        if let Some(at) = buffer.iter().position(|byte| *byte == b'\n') {
            return String::from_utf8(buffer.drain(..=at).collect()).unwrap();
        }
        let mut chunk = [0; 4096];
        let count = tcp.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the client closed");
        buffer.extend(&chunk[..count]);
    }
}
