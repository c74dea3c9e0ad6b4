/// The look of every page: two colour schemes, system fonts, one column on a phone.
enum PageStyle {
    static let css = """
        :root {
          color-scheme: light dark;
          --paper: #fbfbf9; --card: #ffffff; --ink: #1d2126; --muted: #5d656e; --rule: #dfe1dd;
          --accent: #2c6e9b; --base: #b4541a; --tint: #f6eee7;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --paper: #14171a; --card: #1b1f23; --ink: #e7e6e2; --muted: #9aa3ab; --rule: #343a40;
            --accent: #6db3e0; --base: #f0975a; --tint: #2a231d;
          }
        }
        * { box-sizing: border-box; }
        body {
          margin: 0; background: var(--paper); color: var(--ink);
          font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
        }
        main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
        h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .75rem; }
        h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
        h3 { font-size: .95rem; margin: 0 0 .4rem; }
        p { margin: .5rem 0; max-width: 48rem; }
        .lead { font-size: 1.15rem; line-height: 1.45; }
        .note, .caption { color: var(--muted); font-size: .875rem; }
        .scroll { overflow-x: auto; margin: 1.25rem 0; }
        table { border-collapse: collapse; width: 100%; font-size: .92rem; }
        th, td {
          padding: .45rem .7rem; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--rule);
        }
        th { color: var(--muted); font-weight: 600; vertical-align: bottom; }
        .figure { text-align: right; font-variant-numeric: tabular-nums; }
        tr.base td { background: var(--tint); font-weight: 600; }
        tr > :first-child { position: sticky; left: 0; background: var(--paper); }
        tr.base > :first-child { background: var(--tint); box-shadow: inset 3px 0 var(--base); }
        .grid { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); }
        figure, .sample {
          margin: 0; padding: 1rem; background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
        }
        figcaption { font-weight: 600; margin-bottom: .5rem; }
        svg { display: block; width: 100%; height: auto; max-width: 40rem; }
        svg text { fill: var(--ink); font-family: inherit; font-size: 13.5px; }
        svg .tick { fill: var(--muted); font-size: 13px; font-variant-numeric: tabular-nums; }
        svg .axis-title { fill: var(--muted); font-size: 13px; }
        svg .label { paint-order: stroke; stroke: var(--card); stroke-width: 4; stroke-linejoin: round; }
        svg .strong { font-weight: 600; }
        svg .value { font-variant-numeric: tabular-nums; }
        svg .gridline { stroke: var(--rule); stroke-width: 1; }
        svg .axis { stroke: var(--muted); stroke-width: 1; }
        svg .frontier { fill: none; stroke: var(--accent); stroke-width: 1.5; stroke-dasharray: 5 4; }
        svg .curve { fill: none; stroke: var(--accent); stroke-width: 1.8; stroke-linejoin: round; }
        svg .curve.base { stroke: var(--base); }
        svg .curve.dash-1 { stroke-dasharray: 7 4; }
        svg .curve.dash-2 { stroke-dasharray: 2 3; }
        svg .curve.dash-3 { stroke-dasharray: 9 3 2 3; }
        svg .error { stroke: var(--accent); stroke-width: 1.5; }
        svg .point { fill: var(--accent); stroke: var(--card); stroke-width: 1.5; }
        svg .point.base { fill: var(--card); stroke: var(--base); stroke-width: 3; }
        svg .bar { fill: var(--accent); }
        svg .bar.base { fill: var(--base); }
        svg .reference { stroke: var(--base); stroke-width: 2; }
        svg .cell { fill: var(--accent); }
        svg .cell.empty { fill: var(--rule); fill-opacity: .35; }
        .sample.base { border-left: 3px solid var(--base); }
        blockquote { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .95rem; }
        dl { margin: 0; font-size: .92rem; }
        dl div { display: grid; grid-template-columns: 11rem 1fr; gap: 1rem; padding: .3rem 0;
          border-bottom: 1px solid var(--rule); }
        dt { color: var(--muted); }
        dd { margin: 0; overflow-wrap: anywhere; }
        @media (max-width: 34rem) {
          main { padding: 1.25rem .9rem 2rem; }
          dl div { grid-template-columns: 1fr; gap: 0; }
          th, td { padding: .4rem .5rem; }
          figure, .sample { padding: .75rem; }
        }
        @media print { figure, .sample { break-inside: avoid; } }

        """
}
