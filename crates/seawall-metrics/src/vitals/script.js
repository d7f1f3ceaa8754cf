(()=>{let D=document,M=Math.max,h=D.hidden&&!D.prerendering,v={},i={},w=0,t=0,s=0,d,u=D.currentScript.src,P=self.PerformanceObserver,T=P&&P.supportedEntryTypes||[],
g=performance.getEntriesByType("navigation")[0],m=x=>M(0,x-(g&&g.activationStart||0)),
o=(y,f,x)=>{T.includes(y)&&new P(l=>l.getEntries().forEach(f)).observe({type:y,buffered:!0,...x})};
if(g&&g.responseStart)v.TTFB=m(g.responseStart);
if(T.includes("layout-shift"))v.CLS=0;h||o("paint",e=>{if(e.name[6]=="c")v.FCP=m(e.startTime)});h||o("largest-contentful-paint",e=>{v.LCP=m(e.startTime)});
o("layout-shift",e=>{if(!e.hadRecentInput){let n=e.startTime;w&&n-t<1e3&&n-s<5e3?w+=e.value:(w=e.value,s=n);t=n;v.CLS=M(v.CLS,w)}});
o("event",e=>{let k=e.interactionId;if(k)i[k]=M(i[k]||0,e.duration)},{durationThreshold:40});
addEventListener("visibilitychange",()=>{if(d||!D.hidden)return;d=1;let l=Object.values(i).sort((a,b)=>b-a),b;if(l.length)v.INP=l[l.length/50|0];b=Object.keys(v).map(k=>k+"="+v[k].toFixed(4)).join("&");b&&navigator.sendBeacon(u,b)},!0)})()
