// Package suricata reads EVE, Suricata's JSON log, as versions 7 and 8 write it
// (https://docs.suricata.io/en/latest/output/eve/eve-json-format.html).
//
// What differs between the two is DNS. Version 7 logs {"type":"query"|"answer",
// "rrname":…} and nests both in its alerts as {"query":[…],"answer":{…}};
// version 8 logs {"type":"request"|"response","queries":[{"rrname":…}]}
// everywhere. Events say "query" and "answer" for both.
//
// A record with an alert object is a detection whatever its event type:
//
//	severity   priority (alert.severity)   signature_severity in the metadata
//	critical                               Critical
//	high       1                           Major
//	medium     2, or none that is above 0
//	low        3                           Minor
//	info       4 and more                  Informational
//
// The higher of the two counts. A record without an alert is telemetry, info.
//
//	event type                                 OCSF class
//	alert, drop                                2004 Detection Finding
//	dns, mdns                                  4003 DNS Activity
//	http                                       4002 HTTP Activity
//	ssh, smb, ftp and ftp_data, smtp           4007, 4006, 4008, 4009
//	fileinfo                                   4010 Network File Activity
//	any other, if it has an address            4001 Network Activity
//	stats, and what has none                   0 Base Event
//
// What has no normalized field (SSH versions, e-mail, the X-Forwarded-For
// header, …) is under Raw only.
package suricata
