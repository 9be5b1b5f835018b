//! Small charts, drawn where the page is made.

use super::rates::{POINTS, STEP};
use maud::{Markup, html};

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;

/// A line over the last minutes, `series` a second, the oldest first. What it shows is said in words as well.
pub(super) fn line(id: &str, title: &str, series: &[f64]) -> Markup {
    let most = series.iter().copied().fold(0.0, f64::max);
    let now = series.last().copied().unwrap_or_default();
    let top = ceiling(most);
    let points = points(series, top);
    let minutes = STEP.as_secs() * POINTS as u64 / 60;
    let area = format!("{points} {WIDTH},{HEIGHT} {},{HEIGHT}", start(series.len()));
    html! {
        figure.chart {
            figcaption { b { (title) } span.quiet { "now " (number(now)) "/s, most " (number(most)) "/s" } }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-labelledby={ (id) "-title " (id) "-text" } {
                title id={ (id) "-title" } { (title) }
                desc id={ (id) "-text" } {
                    "A line over the last " (minutes) " minutes: " (number(now)) " a second now, "
                    (number(most)) " a second at most."
                }
                path.grid d={ "M0 0.5H" (WIDTH) "M0 " (HEIGHT / 2.0) "H" (WIDTH) "M0 " (HEIGHT - 0.5) "H" (WIDTH) } {}
                @if !series.is_empty() {
                    polygon.area points=(area) {}
                    polyline.line points=(points) {}
                }
            }
            div.axis aria-hidden="true" { span { "−" (minutes) " min" } span { "0 to " (number(top)) " a second" } span { "now" } }
        }
    }
}

fn start(length: usize) -> f64 {
    WIDTH - length.saturating_sub(1) as f64 * WIDTH / (POINTS - 1) as f64
}

fn points(series: &[f64], top: f64) -> String {
    let step = WIDTH / (POINTS - 1) as f64;
    let point = |(place, value): (usize, &f64)| {
        let x = start(series.len()) + place as f64 * step;
        format!("{x:.1},{:.1}", HEIGHT - value / top * (HEIGHT - 4.0))
    };
    series.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
}

/// The next of 1, 2, 5, 10, 20 … above.
fn ceiling(most: f64) -> f64 {
    let mut top = 1.0;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle().take(60) {
        if most <= top {
            break;
        }
        top *= factor;
    }
    top
}

fn number(value: f64) -> String {
    if value >= 10.0 || value == value.trunc() { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_ends_at_now_and_says_what_it_shows() {
        let text = line("issued", "Issued", &[0.0, 7.0, 2.5]).into_string();
        assert!(text.contains("now 2.5/s, most 7/s"), "{text}");
        assert!(text.contains("600.0,91.0"), "the last point is at the right end: {text}");
        assert!(line("issued", "Issued", &[]).into_string().contains("now 0/s"));
    }

    #[test]
    fn the_top_is_a_round_number() {
        let tops: Vec<_> = [0.0, 1.5, 5.0, 7.0, 11.0, 1_999.0].map(ceiling).to_vec();
        assert_eq!(tops, [1.0, 2.0, 5.0, 10.0, 20.0, 2_000.0]);
    }
}
