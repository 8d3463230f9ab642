//! Requests of the tests, over plain HTTP on loopback.

use std::time::Duration;

use reqwest::{Client, RequestBuilder};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A file with headers, in the shape in which encoders give them.
pub type Headers = [(&'static str, String)];

/// Status and body of a GET; an error as text when nobody answers.
pub fn get(url: &str) -> Result<(u16, String), String> {
    send(|client| client.get(url))
}

/// Status and body of a POST.
pub fn post(url: &str, headers: &Headers, body: Vec<u8>) -> Result<(u16, String), String> {
    send(|client| {
        let request = client.post(url).body(body);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    })
}

fn send(request: impl FnOnce(&Client) -> RequestBuilder) -> Result<(u16, String), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(async {
        let client = Client::builder().no_proxy().timeout(TIMEOUT).build().unwrap();
        let text = |error: reqwest::Error| error.to_string();
        let answer = request(&client).send().await.map_err(text)?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await.map_err(text)?))
    })
}
