"""The report page of a run: `data.gather` reads its files, `page.write_report` writes one HTML file."""
