/* THREADS: two threads of process P (counts lref and stripe in private memory, one bit in the shared row), its forked child Q, another member B that unlinks, frees and re-uses the one descriptor; a process is killed with all its threads before any shared store, a reaper repairs.
   run: python3 models/run.py threads        (errors: 0)
   Shown: whoever has a validated reference has its process's bit and its bytes; a child never counts what it has no bit for; at the end nothing leaks. AL is taken as on the way: a private mutex, then the owner word.
   CFG 1 T1 opens and closes, T2 forks, the child opens, closes, exits    2 T1 and T2 both open and close    3 T1 opens and closes, T2 creates    4 T1 creates, T2 forks, the child opens, exits
   -DKM=mask (1 P, 2 Q, 4 B) -DMAXK=n kills     -DRECREATE: B creates the name again on the same descriptor (always in CFG 1, 2 unless -DNORE)
   MUT 1 fork without the stripe    2 only the first reference validates    3 a failed open keeps its count    4 create counts nothing (bit set without lref)    5 fork undoes the bit of what is not alive    6 close clears the bit after the stripe is dropped
       7 AL's owner word alone: "it says me" is taken for mine, two threads at once    8 the token goes with one thread while another still runs    9 a failed open clears the bit whatever the count says
       10 a mutex given back without AL, and nobody looks at sweep again (as first written) */
#ifndef MUT
#define MUT 0
#endif
#ifndef MAXK
#define MAXK 1
#endif
#ifndef KM
#define KM 0
#endif
#define P 0
#define Q 1
#define B 2
#define R 3
#define NM 4
#define FREE 0
#define ALLOC 1
#define LIVE 2
#define DYING 3
#define FREEING 4
#define ASK 8
#define SS(x) ((x)&7)
#define BIT(p) (1<<(p))
#define HAS(m,p) (((m)>>(p))&1)
byte st, own, gen, hint, idx, AL, kills, ndone, us[NM], lref[NM]; bool row[NM], dirty, sweep, forked, tok[NM], used[NM], dead[NM], plk[NM], mtx[NM], missed[NM];
#if MUT==8
#define DIE d_step{ !dead[me] && kills<MAXK && HAS(KM,me) -> kills++; tok[me]=0; us[me]=us[me]-mine; if :: me==P && !forked -> tok[Q]=0 :: else -> skip fi }
#else
#define DIE d_step{ !dead[me] && kills<MAXK && HAS(KM,me) -> kills++; dead[me]=1; tok[me]=0; us[me]=0; if :: me==P && !forked -> tok[Q]=0 :: else -> skip fi }
#endif
/* a shared store; or the process dies just before it; or it is dead because another thread's store was its end */
#define KG(g,x) if :: d_step{ !dead[me] && (g) -> x } :: DIE; goto dying :: dead[me] -> goto dying fi
#define K(x) KG(true,x)
#define ANYUSE (us[0]||us[1]||us[2])
#define ENDS (SS(st)==DYING)
#define VARS byte s,g,c,k,hh,mine; bool busy,ok,got,first,held
#define ZERO s=0;g=0;c=0;k=0;hh=0;mine=0;busy=0;ok=0;got=0;first=0;held=0
inline stripe(){ if :: d_step{ !dead[me] && !plk[me] -> plk[me]=1 } :: dead[me] -> goto dying fi }
inline unstripe(){ plk[me]=0 }
inline retire(tgt){
  K(s=st; assert(!(s&ASK)); st=s|ASK; busy=0);
  hh=hint; k=0; do :: k<NM -> if :: HAS(hh,k) && row[k] -> busy=1 :: else -> skip fi; k++ :: else -> break od; k=0; hh=0;
  K(if :: busy -> ok=0; if :: st==(s|ASK) -> st=s :: else -> skip fi
       :: else -> if :: st==(s|ASK) -> assert(!ANYUSE); st=tgt; ok=1 :: else -> ok=0 fi fi; busy=0; s=0) }
inline free_(){ if :: ENDS -> retire(FREEING); if :: ok -> K(hint=0); K(assert(!ANYUSE); st=FREE; gen++) :: else -> skip fi; ok=0 :: else -> skip fi }
inline rebuild(){ if :: dirty -> K(if :: st&ASK -> st=SS(st) :: SS(st)==FREEING -> assert(!ANYUSE); st=FREE; gen++ :: else -> skip fi); K(idx=(st==LIVE)); K(sweep=1); K(dirty=0) :: else -> skip fi }
#if MUT==7
#define MINE (AL==0 || AL==me+1)
#define TAKEM skip
#define DROPM skip
inline try(){ K(if :: MINE -> AL=me+1; got=1 :: else -> got=0 fi) }
inline lockAL(){ do :: KG(MINE, AL=me+1); break :: d_step{ AL!=0 && AL!=me+1 && !tok[AL-1] -> AL=0; dirty=1 } od; rebuild() }
inline unlockAL(){ K(AL=0); SWEEP() }
#else
/* a mutex that is taken: missed=1, one more try; a mutex given back without AL: whoever missed it meanwhile is answered for */
inline try(){
  do :: d_step{ if :: !mtx[me] -> mtx[me]=1; got=1 :: else -> got=0 fi };
#if MUT!=10
        if :: !got -> missed[me]=1; d_step{ if :: !mtx[me] -> mtx[me]=1; got=1 :: else -> skip fi } :: else -> skip fi;
#endif
        if :: !got -> break :: else -> skip fi;
        K(if :: AL==0 -> AL=me+1 :: else -> got=0 fi);
        if :: got -> break :: else -> skip fi;
        mtx[me]=0;
#if MUT!=10
        if :: d_step{ missed[me] -> missed[me]=0 } -> if :: sweep -> skip :: else -> break fi :: else -> break fi
#else
        break
#endif
  od }
inline lockAL(){ if :: d_step{ !dead[me] && !mtx[me] -> mtx[me]=1 } :: dead[me] -> goto dying fi;
  do :: KG(AL==0, AL=me+1); break :: d_step{ AL!=0 && !tok[AL-1] -> AL=0; dirty=1 } od; rebuild() }
inline unlockAL(){ K(AL=0; mtx[me]=0); SWEEP() }
#endif
inline SWEEP(){ do :: !sweep -> break :: else -> try(); if :: !got -> break :: else -> rebuild(); K(sweep=0); free_(); K(AL=0; mtx[me]=0) fi od; got=0 }
inline ended(){ if :: ENDS -> try(); if :: got -> rebuild(); free_(); got=0; unlockAL() :: else -> K(sweep=1); SWEEP() fi :: else -> skip fi }
inline attach(){
  held=0;
again: skip; c=idx; if :: c==0 -> goto nf :: else -> skip fi;
  stripe(); first=(lref[me]==0); lref[me]++;
  if :: first -> K(row[me]=1) :: else -> skip fi;
#if MUT==2
  if :: !first -> held=1; d_step{ g=gen } :: else -> skip fi;
#endif
  if :: !held -> d_step{ s=st; g=gen }; K(hint=hint|BIT(me)) :: else -> skip fi;
a4: skip; if :: held -> skip :: else -> d_step{ s=st; if :: gen!=g -> s=FREE :: else -> skip fi };
  if :: s==LIVE -> held=1
     :: s==(LIVE|ASK) -> K(if :: st==s && gen==g -> st=LIVE; held=1 :: else -> skip fi); if :: !held -> goto a4 :: else -> skip fi
     :: else -> skip fi fi;
  if :: held -> d_step{ if :: !dead[me] -> us[me]++; mine=1; assert(row[me] && gen==g && SS(st)!=FREE && SS(st)!=ALLOC && SS(st)!=FREEING) :: else -> skip fi; s=0; c=0; first=0 }; unstripe()
     :: else ->
#if MUT!=3
        lref[me]--;
#endif
#if MUT==9
        if :: true ->
#else
        if :: lref[me]==0 ->
#endif
              K(row[me]=0) :: else -> skip fi; unstripe(); first=0; ended();
        if :: d_step{ idx==c && gen==g && st==s && s!=LIVE } -> skip :: else -> goto again fi fi;
nf: skip; d_step{ s=0; c=0; g=0 } }
inline close_(){
  stripe(); d_step{ if :: !dead[me] -> us[me]--; mine=0 :: else -> skip fi }; lref[me]--;
#if MUT==6
  first=(lref[me]==0); unstripe(); if :: first -> K(row[me]=0); ended() :: else -> skip fi; first=0
#else
  if :: lref[me]==0 -> K(row[me]=0); unstripe(); ended() :: else -> unstripe() fi
#endif
  }
inline unlink_(){ lockAL(); if :: st==LIVE -> K(st=DYING); K(idx=0) :: else -> skip fi; unlockAL() }
inline create(){
  stripe();
  if :: st==FREE && lref[me]==0 ->
#if MUT!=4
        lref[me]=1;
#endif
        K(row[me]=1); unstripe(); ok=1
     :: else -> unstripe(); ok=0 fi;
  if :: ok -> ok=0; lockAL();
        if :: st==FREE -> K(st=ALLOC; own=me); K(hint=hint|BIT(me)); unlockAL();
              lockAL(); K(idx=1);
#if MUT==4
              lref[me]++;
#endif
              K(st=LIVE; us[me]++; mine=1); unlockAL(); close_()
           
           :: else -> unlockAL(); stripe();
#if MUT!=4
              lref[me]--;
#endif
              if :: lref[me]==0 -> K(row[me]=0); unstripe(); ended() :: else -> unstripe() fi fi
     :: else -> skip fi }
#define END dying: skip; d_step{ ZERO; ndone++ }
proctype Open(byte me){ VARS; attach(); if :: held -> close_() :: else -> skip fi; END }
proctype Create(byte me){ VARS; create(); END }
proctype Other(byte me){ VARS; mine=1; unlink_(); close_();
#ifdef RECREATE
  create();
#endif
  END }
proctype Fork(byte me){ VARS;
#if MUT!=1
  stripe();
#endif
  K(tok[Q]=1; used[Q]=1);
  if :: row[P] -> K(row[Q]=1); d_step{ s=st; g=gen }; K(hint=hint|BIT(Q));
        do :: d_step{ s=st; if :: gen!=g -> s=FREE :: else -> skip fi };
              if :: s&ASK -> K(if :: st==s && gen==g -> st=SS(s); ok=1 :: else -> ok=0 fi); if :: ok -> break :: else -> skip fi :: else -> break fi od; ok=0;
#if MUT==5
        if :: SS(s)==FREE || SS(s)==FREEING || SS(s)==ALLOC -> K(row[Q]=0) :: else -> skip fi
#endif
     :: else -> skip fi;
  K(forked=1; us[Q]=us[P]; lref[Q]=lref[P]; plk[Q]=0; mtx[Q]=0);
#if MUT!=1
  unstripe();
#endif
  END }
proctype Child(byte me){ VARS;
  if :: forked -> skip :: !forked && dead[P] -> goto dying fi;
  attach(); if :: held -> close_() :: else -> skip fi;
  d_step{ if :: !dead[me] -> dead[me]=1; tok[me]=0; us[me]=0 :: else -> skip fi };     /* exit: what other threads of the parent counted ends here */
  END }
#define REAPABLE(x) (used[x] && !tok[x])
proctype Reaper(byte me){ VARS; byte v;
  do :: d_step{ (REAPABLE(0)||REAPABLE(1)||REAPABLE(2)) -> v=0; do :: REAPABLE(v) -> break :: else -> v++ od };
        d_step{ if :: AL==v+1 -> AL=0; dirty=1 :: else -> skip fi };
        if :: row[v] -> if :: st==ALLOC && own==v -> lockAL(); K(st=DYING); K(AL=0; mtx[me]=0) :: else -> skip fi; K(row[v]=0) :: else -> skip fi;
        K(sweep=1); SWEEP(); used[v]=0; v=0
     :: ndone==3+(CFG==1||CFG==4) && !(REAPABLE(0)||REAPABLE(1)||REAPABLE(2)) -> break od; v=0;
  d_step{ assert(AL==0 && !dirty); assert(!row[0] && !row[1] && !row[2]); assert(st==FREE || (st==LIVE && idx==1)) };
dying: skip }
init { d_step{ tok[P]=1; used[P]=1; tok[B]=1; used[B]=1; tok[R]=1;
#if CFG==4
#else
  st=LIVE; idx=1; row[B]=1; us[B]=1; lref[B]=1; hint=BIT(B);
#endif
  };
  atomic{
#if CFG==1
  run Open(P); run Fork(P); run Child(Q); run Other(B);
#elif CFG==2
  run Open(P); run Open(P); run Other(B);
#elif CFG==3
  run Open(P); run Create(P); run Other(B);
#elif CFG==4
  run Create(P); run Fork(P); run Child(Q); run Create(B);
#endif
  run Reaper(R) } }
