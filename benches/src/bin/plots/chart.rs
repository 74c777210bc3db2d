//! Line and bar charts as SVG, written by hand.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 52.0;

/// A colour for each subject, the same in all charts; of similar brightness, told apart by those
/// who do not see red and green.
const COLOURS: [(&str, &str); 8] = [
    ("idlewheel", "#d7301f"),
    ("quick_cache", "#1b7837"),
    ("moka", "#2166ac"),
    ("mini_moka", "#67a9cf"),
    ("dashmap", "#762a83"),
    ("papaya", "#e08214"),
    ("scc", "#35978f"),
    ("rwlock_hashmap", "#777777"),
];

pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) is_dashed: bool,
}

/// A chart of lines; its y axis is logarithmic.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) x_title: &'a str,
    pub(crate) y_title: &'a str,
    pub(crate) x_ticks: Vec<(f64, String)>,
    pub(crate) is_x_log: bool,
}

fn colour(name: &str) -> &'static str {
    let subject = name.split(',').next().unwrap_or(name);
    COLOURS.iter().find(|(other, _)| *other == subject).map_or("#000000", |(_, colour)| colour)
}

/// A range of values and the pixels on which it is drawn.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }
}

impl Chart<'_> {
    pub(crate) fn draw(&self, lines: &[Line]) -> String {
        let mut out = head(self.title);
        let x_of = |x: f64| if self.is_x_log { x.log2() } else { x };
        let first = self.x_ticks.first().map_or(0.0, |tick| x_of(tick.0));
        let last = self.x_ticks.last().map_or(1.0, |tick| x_of(tick.0));
        let x = Axis { low: first, high: last, from: LEFT, to: WIDTH - RIGHT };
        let y = y_axis(lines);
        for power in y.low as i32..=y.high as i32 {
            let at = y.at(f64::from(power));
            rule(&mut out, at);
            text(&mut out, LEFT - 8.0, at + 4.0, "end", &power_text(power));
        }
        for (value, name) in &self.x_ticks {
            text(&mut out, x.at(x_of(*value)), HEIGHT - BOTTOM + 18.0, "middle", name);
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        text(&mut out, middle, HEIGHT - 12.0, "middle", self.x_title);
        text(&mut out, 8.0, TOP - 8.0, "start", self.y_title);
        for line in lines.iter().rev() {
            let place = |&(x_value, value): &(f64, f64)| (x.at(x_of(x_value)), y.at(value.log10()));
            draw_line(&mut out, line, &line.points.iter().map(place).collect::<Vec<_>>());
        }
        legend(&mut out, lines);
        out + "</svg>\n"
    }
}

/// Whole powers of ten around all values.
fn y_axis(lines: &[Line]) -> Axis {
    let values = || lines.iter().flat_map(|line| &line.points).map(|point| point.1.log10());
    let low = values().fold(f64::INFINITY, f64::min).floor();
    let high = values().fold(f64::NEG_INFINITY, f64::max).ceil();
    let high = if high > low { high } else { low + 1.0 };
    Axis { low, high, from: HEIGHT - BOTTOM, to: TOP }
}

fn power_text(power: i32) -> String {
    match power {
        0..=3 => 10i32.pow(power as u32).to_string(),
        4..=5 => format!("{} k", 10i32.pow(power as u32 - 3)),
        6.. => format!("{} M", 10i64.pow(power as u32 - 6)),
        _ => format!("{:.*}", power.unsigned_abs() as usize, 10f64.powi(power)),
    }
}

fn head(title: &str) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    push(&mut out, format_args!("<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{title}</text>\n"));
    out
}

/// Writing to a string does not fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes everything");
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let line =
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n");
    push(out, line);
}

fn rule(out: &mut String, y: f64) {
    let right = WIDTH - RIGHT;
    let line = format_args!(
        "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>\n"
    );
    push(out, line);
}

fn draw_line(out: &mut String, line: &Line, points: &[(f64, f64)]) {
    let colour = colour(&line.name);
    let width = if line.name.starts_with("idlewheel") { 3 } else { 2 };
    let dashes = if line.is_dashed { " stroke-dasharray=\"6 4\"" } else { "" };
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let path = path.join(" ");
    let style = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dashes}");
    push(out, format_args!("<polyline points=\"{path}\" {style}/>\n"));
    for (x, y) in points {
        push(
            out,
            format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>\n"),
        );
    }
}

fn legend(out: &mut String, lines: &[Line]) {
    let left = WIDTH - RIGHT + 24.0;
    for (at, line) in lines.iter().enumerate() {
        let y = TOP + 10.0 + 20.0 * at as f64;
        draw_line(out, line, &[(left, y), (left + 26.0, y)]);
        text(out, left + 34.0, y + 4.0, "start", &line.name);
    }
}

/// Horizontal bars, with their values beside them.
pub(crate) fn bars(title: &str, values: &[(f64, String)]) -> String {
    let mut out = head(title);
    let most = values.iter().map(|value| value.0).fold(1.0, f64::max);
    let left = LEFT + 60.0;
    let axis = Axis { low: 0.0, high: most, from: left, to: WIDTH - 80.0 };
    let step = (HEIGHT - TOP - 20.0) / values.len().max(1) as f64;
    for (at, (value, name)) in values.iter().enumerate() {
        let y = TOP + step * at as f64;
        let (width, height) = (axis.at(*value) - left, step * 0.7);
        let size = format!("width=\"{width:.1}\" height=\"{height:.1}\"");
        let fill = colour(name);
        push(&mut out, format_args!("<rect x=\"{left}\" y=\"{y:.1}\" {size} fill=\"{fill}\"/>\n"));
        text(&mut out, left - 8.0, y + height / 2.0 + 4.0, "end", name);
        text(
            &mut out,
            axis.at(*value) + 6.0,
            y + height / 2.0 + 4.0,
            "start",
            &format!("{value:.0}"),
        );
    }
    out + "</svg>\n"
}
