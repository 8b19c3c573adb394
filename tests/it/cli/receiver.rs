//! A webhook's endpoint, and its check of signatures.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

/// An endpoint that takes everything and keeps it: id, timestamp, signature and body.
pub struct Receiver {
    pub url: String,
    got: Arc<Mutex<Vec<[String; 4]>>>,
}

impl Receiver {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let got: Arc<Mutex<Vec<[String; 4]>>> = Arc::default();
        let kept = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // One request a connection is all that it has to do.
                let (mut stream, mut head, mut length) = (BufReader::new(stream.unwrap()), HashMap::new(), 0);
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    if let Some((name, value)) = line.trim().split_once(": ") {
                        head.insert(name.to_ascii_lowercase(), value.to_owned());
                    }
                    line.clear();
                }
                if let Some(text) = head.get("content-length") {
                    length = text.parse().unwrap();
                }
                let mut body = vec![0; length];
                if stream.read_exact(&mut body).is_err() || head.is_empty() {
                    continue;
                }
                let field = |name: &str| head.get(name).cloned().unwrap_or_default();
                let text = String::from_utf8(body).unwrap();
                let one = [field("webhook-id"), field("webhook-timestamp"), field("webhook-signature"), text];
                kept.lock().unwrap().push(one);
                let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        Self { url, got }
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    /// By the standard's own words, and not by the code under test.
    pub fn assert_signed_with(&self, secret: &str) {
        let bytes = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        for [id, timestamp, signature, body] in self.got.lock().unwrap().iter() {
            let signed = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
            assert_eq!(*signature, format!("v1,{}", BASE64_STANDARD.encode(signed)));
        }
    }
}
