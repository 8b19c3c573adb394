//! Tables as files: CSV as RFC 4180 has it, streamed a page of rows at a time.
//!
//! ```ignore
//! csv::download(&request, "acme-credits-2026-11-20.csv", &["id", "note"], None, move |before| {
//!     let db = db.clone();
//!     async move {
//!         let entries = db.run(move |conn| credits::entries(conn, organization, before, PAGE)).await?;
//!         let mut rows = Rows::default();
//!         for entry in &entries {
//!             rows.add(&[Cell::Number(entry.sequence.into()), Cell::Text(&entry.note)]);
//!         }
//!         let next = (entries.len() as i64 == PAGE).then(|| entries.last().map(|entry| Some(entry.sequence))).flatten();
//!         Ok((rows, next))
//!     }
//! })
//! ```
//! Each page takes its connection and gives it back, the next is read when the reader has taken the one before, and nothing else is
//! kept: the memory is that of a page or two, however long the file. A handler reads something of its own before it calls
//! [`download`], so that a database that is away is told by a page and a status. From then on an error breaks the body off in the
//! middle of a chunk: what arrived never looks like all of it.

use std::rc::Rc;

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::try_unfold;

use crate::error::{Error, Result};

/// What stands in a cell.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    /// Anybody's words, which no spreadsheet may take for a formula.
    Text(&'a str),
    /// A whole number, negative ones with a plain hyphen.
    Number(i64),
    /// Nothing.
    Empty,
}

/// Some rows as the file has them.
#[derive(Debug, Default)]
pub struct Rows(String);

impl Rows {
    /// One more row.
    pub fn add(&mut self, cells: &[Cell<'_>]) {
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                self.0.push(',');
            }
            match cell {
                Cell::Text(text) => self.text(text),
                Cell::Number(number) => self.0.push_str(&number.to_string()),
                Cell::Empty => {}
            }
        }
        self.0.push_str("\r\n");
    }

    /// A cell that begins like a formula is made a text by an apostrophe (OWASP, CSV Injection), then quoted where it has to be.
    fn text(&mut self, text: &str) {
        let apostrophe = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { "'" } else { "" };
        if text.contains(['"', ',', '\r', '\n']) {
            self.0.push_str(&format!("\"{apostrophe}{}\"", text.replace('"', "\"\"")));
        } else {
            self.0.push_str(apostrophe);
            self.0.push_str(text);
        }
    }
}

/// Answers with a file of this name: the line of names, and page after page. `page` is given the place where one starts, the first
/// time `first`, and returns its rows with the place of the next; none: it was the last. HEAD is told the headers alone.
///
/// The name is ours, of letters, digits, hyphens and dots. It is not compressed: the compressor would hold back what it has not
/// filled a block with.
pub fn download<C, P>(request: &HttpRequest, name: &str, names: &[&str], first: C, page: impl Fn(C) -> P + 'static) -> HttpResponse
where
    C: 'static,
    P: Future<Output = Result<(Rows, Option<C>)>> + 'static,
{
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, "text/csv; charset=utf-8"));
    response.insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
    response.insert_header((CONTENT_ENCODING, "identity"));
    if request.method() == Method::HEAD {
        return response.finish();
    }
    let mut head = Rows::default();
    head.add(&names.iter().map(|name| Cell::Text(name)).collect::<Vec<_>>());
    let (name, page) = (name.to_owned(), Rc::new(page));
    // The line of names leaves at once, before the first page is read.
    response.streaming(try_unfold(Some((Some(head), first)), move |state| {
        let (name, page) = (name.clone(), Rc::clone(&page));
        async move {
            let (rows, next) = match state {
                None => return Ok(None),
                Some((Some(head), first)) => (head, Some(first)),
                Some((None, from)) => {
                    page(from).await.inspect_err(|error| tracing::error!(file = %name, %error, "a download was broken off"))?
                }
            };
            // A page that found nothing and knows where to go on is an empty chunk, which actix leaves out.
            Ok::<_, Error>(Some((Bytes::from(rows.0), next.map(|next| (None, next)))))
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(cells: &[Cell<'_>]) -> String {
        let mut rows = Rows::default();
        rows.add(cells);
        rows.0
    }

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        let cells = [Cell::Text("plain"), Cell::Text("a,b"), Cell::Text("say \"so\""), Cell::Text("two\r\nlines"), Cell::Empty];
        assert_eq!(line(&cells), "plain,\"a,b\",\"say \"\"so\"\"\",\"two\r\nlines\",\r\n");
    }

    #[test]
    fn no_text_is_a_formula_and_numbers_stay_numbers() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"] {
            assert_eq!(line(&[Cell::Text(text)]), format!("'{text}\r\n"));
        }
        assert_eq!(line(&[Cell::Text("=HYPERLINK(\"http://evil\",\"x\")")]), "\"'=HYPERLINK(\"\"http://evil\"\",\"\"x\"\")\"\r\n");
        assert_eq!(line(&[Cell::Text("\r=1")]), "\"'\r=1\"\r\n");
        assert_eq!(line(&[Cell::Number(-25), Cell::Number(6_000)]), "-25,6000\r\n");
        assert_eq!(line(&[Cell::Text("a=b"), Cell::Text("1-2")]), "a=b,1-2\r\n");
    }
}
